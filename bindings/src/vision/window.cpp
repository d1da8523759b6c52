#include "vision/window.hpp"

#include <algorithm>
#include <cstring>

namespace vljepa {

void Window::push(const Outputs& features, double time) {
    const bool begins = count_ == 0;
    newest_ = begins ? size_ - 1 : (newest_ + 1) % size_;
    for (const auto& [name, feature] : features) {
        Ring& ring = rings_[name];
        if (begins) {
            ring.type = feature.type;
            ring.shape.assign(feature.shape.begin() + 1, feature.shape.end());
            ring.bytes = feature.bytes.size();
            ring.data.resize(2 * size_ * ring.bytes);
        }
        for (std::size_t slot = 0; slot < 2 * size_; ++slot) {
            if (!begins && slot % size_ != newest_) continue;
            std::memcpy(ring.data.data() + slot * ring.bytes, feature.bytes.data(), ring.bytes);
        }
    }
    if (begins) std::fill(times_.begin(), times_.end(), time);
    times_[newest_] = times_[newest_ + size_] = time;
    count_ = std::min(count_ + 1, size_);
}

bool Window::has_times_of(const Window& other) const {
    const auto first = times_.begin() + static_cast<std::ptrdiff_t>(newest_ + 1);
    const auto others = other.times_.begin() + static_cast<std::ptrdiff_t>(other.newest_ + 1);
    return std::equal(first, first + static_cast<std::ptrdiff_t>(size_), others);
}

const std::vector<Input>& Window::stacked() {
    stacked_.resize(rings_.size());
    auto place = stacked_.begin();
    for (const auto& [name, ring] : rings_) {
        place->name = name;
        place->type = ring.type;
        place->shape.assign({1, static_cast<std::int64_t>(size_)});
        place->shape.insert(place->shape.end(), ring.shape.begin(), ring.shape.end());
        place->data = ring.data.data() + (newest_ + 1) * ring.bytes;
        ++place;
    }
    return stacked_;
}

}  // namespace vljepa
