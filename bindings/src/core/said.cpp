#include "core/said.hpp"

#include <algorithm>
#include <string>

#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

std::optional<std::size_t> Said::find(const float* embedding, std::size_t width, bool is_mean) {
    std::optional<std::size_t> nearest;
    if (width != width_) return nearest;
    double least = radius_;
    for (std::size_t place = 0; place < count_; ++place) {
        if (is_mean && !is_mean_[place]) continue;
        const double distance = 1.0 - dot(rows_.data() + place * width, embedding, width);
        if (nearest ? distance < least : distance <= least) {
            nearest = place;
            least = distance;
        }
    }
    if (nearest) used_[*nearest] = ++uses_;
    return nearest;
}

std::size_t Said::keep(const float* embedding, std::size_t width, bool is_mean) {
    if (count_ == 0) {
        width_ = width;
        rows_.resize(kKept * width);
    }
    if (width != width_) {
        throw InputError("an embedding must have " + std::to_string(width_) + " numbers, got " + std::to_string(width));
    }
    std::size_t place = count_;
    if (count_ < kKept) ++count_;
    else place = static_cast<std::size_t>(std::min_element(used_.begin(), used_.end()) - used_.begin());
    std::copy(embedding, embedding + width, rows_.begin() + static_cast<std::ptrdiff_t>(place * width));
    is_mean_[place] = is_mean;
    used_[place] = ++uses_;
    return place;
}

}  // namespace vljepa
