#include "core/window_places.hpp"

#include <algorithm>
#include <string>

#include "vljepa/error.hpp"

namespace vljepa {

WindowPlaces::WindowPlaces(std::ptrdiff_t size) : size_(static_cast<std::size_t>(size)) {
    if (size < 1) throw InputError("a window must have at least 1 frame, got " + std::to_string(size));
    times_.resize(2 * size_);
}

std::size_t WindowPlaces::push(double time) {
    if (count_ == 0) {
        std::fill(times_.begin(), times_.end(), time);
        newest_ = size_ - 1;
    } else {
        newest_ = (newest_ + 1) % size_;
        times_[newest_] = times_[newest_ + size_] = time;
    }
    count_ = std::min(count_ + 1, size_);
    return newest_;
}

}  // namespace vljepa
