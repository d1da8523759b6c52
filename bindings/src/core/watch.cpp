#include "core/watch.hpp"

#include <algorithm>

namespace vljepa {

HysteresisOptions beginning_at(double begin, double hold) {
    const HysteresisOptions usual;
    return {begin, begin * usual.end / usual.begin, hold};
}

Watch::Watch(const std::vector<HysteresisOptions>& policies)
    : states_(policies.begin(), policies.end()), numbers_(policies.size()) {}

std::vector<Sighting> Watch::push(const std::vector<double>& chances, double time, double since) {
    middle_ = (since + time) / 2.0;
    std::vector<Sighting> found;
    for (std::size_t i = 0; i < states_.size(); ++i) {
        if (const auto occurrence = states_[i].push(chances[i], time, middle_)) found.push_back(sighting(i, *occurrence));
    }
    return found;
}

std::vector<Sighting> Watch::end(double last) {
    std::vector<Sighting> found;
    for (std::size_t i = 0; i < states_.size(); ++i) {
        const auto occurrence = states_[i].finish();
        if (!occurrence) continue;
        found.push_back(sighting(i, *occurrence));
        if (found.back().end == middle_) found.back().end = std::max(last, found.back().start);
    }
    return found;
}

std::vector<std::pair<std::size_t, double>> Watch::seen() const {
    std::vector<std::pair<std::size_t, double>> found;
    for (std::size_t i = 0; i < states_.size(); ++i) {
        if (states_[i].is_seen()) found.emplace_back(i, states_[i].peak());
    }
    return found;
}

void Watch::restart_clock() {
    for (Hysteresis& state : states_) state.restart_clock();
}

void Watch::reset() {
    for (Hysteresis& state : states_) state.reset();
    std::fill(numbers_.begin(), numbers_.end(), 0);
}

Sighting Watch::sighting(std::size_t which, const Occurrence& occurrence) {
    const std::int64_t number = numbers_[which];
    if (occurrence.end) ++numbers_[which];
    return {which, number, occurrence.start, occurrence.end, occurrence.peak};
}

}  // namespace vljepa
