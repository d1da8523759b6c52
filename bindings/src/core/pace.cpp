#include "core/pace.hpp"

#include <algorithm>
#include <numeric>

namespace vljepa {

namespace {

// The share of the time between two frames that encoding one may take. What is left is for hops.
constexpr double kKeepsUp = 0.8;

}  // namespace

Pace::Pace(double period, double patience) : limit_(kKeepsUp * period), patience_(patience) {}

void Pace::restart() { *this = Pace(limit_ / kKeepsUp, patience_); }

void Pace::note_frame(double seconds) {
    std::rotate(took_.begin(), took_.begin() + 1, took_.end());
    took_.back() = seconds;
    since_hop_ += seconds;
}

void Pace::note_hop(double seconds) {
    hop_ = seconds;
    since_hop_ = 0.0;
}

bool Pace::keeps_up() const {
    const double mean = std::accumulate(took_.begin(), took_.end(), 0.0) / static_cast<double>(took_.size());
    return mean <= limit_ && std::min(took_.back(), *(took_.end() - 2)) <= limit_;
}

bool Pace::can_hop(double waited, std::size_t waiting) {
    if (waiting == 0) catches_up_ = false;
    else if (waited > patience_) catches_up_ = true;
    if (!keeps_up() && waiting > 0) return since_hop_ >= hop_;
    return !catches_up_;
}

}  // namespace vljepa
