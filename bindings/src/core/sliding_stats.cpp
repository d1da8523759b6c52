#include "vljepa/sliding_stats.hpp"

#include <algorithm>
#include <cmath>

#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

SlidingStats::SlidingStats(std::size_t width, std::size_t window) : window_(window) {
    if (width == 0) throw InputError("width 0 is not supported; use at least 1");
    if (window == 0) throw InputError("window 0 is not supported; use at least 1");
    ring_.resize(width * window);
    mean_.resize(width);
}

void SlidingStats::push(const float* embedding) {
    const std::size_t width = mean_.size();
    if (!std::isfinite(squared_norm(embedding, width))) {
        throw InputError("the embedding is not finite; push finite numbers");
    }
    float* slot = ring_.data() + next_ * width;
    double* mean = mean_.data();
    double change = 0.0;
    if (count_ < window_) {
        ++count_;
        const double share = 1.0 / static_cast<double>(count_);
#pragma omp simd reduction(+ : change)
        for (std::size_t i = 0; i < width; ++i) {
            const double x = embedding[i];
            const double before = x - mean[i];
            mean[i] += before * share;
            change += before * (x - mean[i]);
        }
    } else {
        const double share = 1.0 / static_cast<double>(count_);
#pragma omp simd reduction(+ : change)
        for (std::size_t i = 0; i < width; ++i) {
            const double x = embedding[i];
            const double old = slot[i];
            const double old_mean = mean[i];
            mean[i] += (x - old) * share;
            change += (x - old) * ((x - mean[i]) + (old - old_mean));
        }
    }
    squares_ = std::max(0.0, squares_ + change);
    std::copy(embedding, embedding + width, slot);
    if (++next_ == window_) {
        next_ = 0;
        recompute();
    }
}

void SlidingStats::clear() {
    count_ = 0;
    next_ = 0;
    squares_ = 0.0;
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
}

}  // namespace vljepa
