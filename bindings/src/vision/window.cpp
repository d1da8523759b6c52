#include "vision/window.hpp"

#include <algorithm>
#include <cstring>

namespace vljepa {

void Window::push(const Outputs& features, double time) {
    const bool begins = places_.count() == 0;
    const std::size_t place = places_.push(time);
    if (!begins) {
        write(features, place);
        return;
    }
    for (const auto& [name, feature] : features) {
        Ring& ring = rings_[name];
        ring.type = feature.type;
        ring.shape.assign(feature.shape.begin() + 1, feature.shape.end());
        ring.bytes = feature.bytes.size();
        ring.data.resize(2 * places_.size() * ring.bytes);
    }
    renew(features, places_.size());
}

void Window::renew(const Outputs& features, std::size_t count) {
    for (std::size_t age = 0; age < std::min(count, places_.size()); ++age) write(features, places_.place(age));
}

void Window::write(const Outputs& features, std::size_t place) {
    for (const auto& [name, feature] : features) {
        Ring& ring = rings_.find(name)->second;
        std::memcpy(ring.data.data() + place * ring.bytes, feature.bytes.data(), ring.bytes);
        std::memcpy(ring.data.data() + (place + places_.size()) * ring.bytes, feature.bytes.data(), ring.bytes);
    }
}

bool Window::has_times_of(const Window& other) const {
    return std::equal(places_.times(), places_.times() + places_.size(), other.places_.times());
}

const std::vector<Input>& Window::stacked() {
    stacked_.resize(rings_.size());
    auto place = stacked_.begin();
    for (const auto& [name, ring] : rings_) {
        place->name = name;
        place->type = ring.type;
        place->shape.assign({1, static_cast<std::int64_t>(places_.size())});
        place->shape.insert(place->shape.end(), ring.shape.begin(), ring.shape.end());
        place->data = ring.data.data() + places_.first() * ring.bytes;
        ++place;
    }
    return stacked_;
}

}  // namespace vljepa
