#include "vljepa/sliding_stats.hpp"

#include <algorithm>

#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

namespace {

// Each push rounds by 1e-16 of the sum of squares. Sums are made again when that may be so many times 1e-16 of the sum
// there is: after so many pushes, or when something large has left the window.
constexpr double kRounding = 256.0;

}  // namespace

SlidingStats::SlidingStats(std::size_t width, std::size_t window) : window_(window) {
    if (width == 0) throw InputError("width 0 is not supported; use at least 1");
    if (window == 0) throw InputError("window 0 is not supported; use at least 1");
    ring_.resize(width * window);
    mean_.resize(width);
}

void SlidingStats::push(const float* embedding) {
    if (!all_finite(embedding, width())) throw InputError("the embedding is not finite; push finite numbers");
    push_finite(embedding);
}

void SlidingStats::push_finite(const float* embedding) {
    const std::size_t width = mean_.size();
    float* slot = ring_.data() + next_ * width;
    double change = 0.0;
    if (count_ < window_) {
        ++count_;
        change = join_mean(mean_.data(), embedding, 1.0 / static_cast<double>(count_), width);
        std::copy(embedding, embedding + width, slot);
    } else {
        change = replace_in_mean(mean_.data(), slot, embedding, 1.0 / static_cast<double>(count_), width);
    }
    const double before = squares_;
    squares_ = std::max(0.0, before + change);
    rounded_ += std::max(before, squares_);
    if (++next_ == window_) next_ = 0;
    if (next_ == 0 && (window_ == 1 || rounded_ > kRounding * squares_)) recompute();
}

void SlidingStats::clear() {
    count_ = 0;
    next_ = 0;
    squares_ = 0.0;
    rounded_ = 0.0;
    std::fill(mean_.begin(), mean_.end(), 0.0);
}

void SlidingStats::recompute() {
    const std::size_t width = mean_.size();
    double* mean = mean_.data();
    std::fill(mean_.begin(), mean_.end(), 0.0);
    for (std::size_t t = 0; t < window_; ++t) {
        const float* row = ring_.data() + t * width;
        add_to(mean, row, width);
    }
    const double share = 1.0 / static_cast<double>(window_);
    for (std::size_t i = 0; i < width; ++i) mean[i] *= share;
    double squares = 0.0;
    for (std::size_t t = 0; t < window_; ++t) {
        const float* row = ring_.data() + t * width;
#pragma omp simd reduction(+ : squares)
        for (std::size_t i = 0; i < width; ++i) {
            const double d = row[i] - mean[i];
            squares += d * d;
        }
    }
    squares_ = squares;
    rounded_ = 0.0;
}

}  // namespace vljepa
