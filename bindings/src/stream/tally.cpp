#include "stream/tally.hpp"

#include <algorithm>
#include <cmath>

namespace vljepa {

namespace {

constexpr std::size_t kKept = 4096;

// Between the two nearest of sorted numbers, as NumPy does it.
double percentile(const std::vector<float>& sorted, double share) {
    const double place = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const double low = static_cast<double>(sorted[below]);
    const double high = static_cast<double>(sorted[std::min(below + 1, sorted.size() - 1)]);
    return low + (place - std::floor(place)) * (high - low);
}

}  // namespace

Tally::Tally() {
    for (Ring& ring : rings_) ring.milliseconds.resize(kKept);
}

void Tally::add(std::int64_t StreamStats::*count, std::size_t amount) {
    const std::lock_guard<std::mutex> lock(mutex_);
    counts_.*count += static_cast<std::int64_t>(amount);
    if (count == &StreamStats::errors) ++frames_failed_;
    if (count == &StreamStats::hops) frames_failed_ = 0;
    if (count == &StreamStats::decodes) texts_failed_ = 0;
}

void Tally::add_failed_text() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++texts_failed_;
}

std::int64_t Tally::failing() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::max(frames_failed_, texts_failed_);
}

void Tally::record(const Spent& spent) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t stage = 0; stage < kStages; ++stage) {
        if (spent.seconds[stage] < 0.0) continue;
        Ring& ring = rings_[stage];
        ring.milliseconds[ring.count++ % kKept] = static_cast<float>(1e3 * spent.seconds[stage]);
    }
}

StreamStats Tally::stats() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return counts_;
}

Latency Tally::latency(Stage stage) const {
    std::unique_lock<std::mutex> lock(mutex_);
    const Ring& ring = rings_[static_cast<std::size_t>(stage)];
    const std::size_t count = ring.count;
    const auto first = ring.milliseconds.begin();
    std::vector<float> sorted(first, first + static_cast<std::ptrdiff_t>(std::min(count, kKept)));
    lock.unlock();
    if (sorted.empty()) return {};
    std::sort(sorted.begin(), sorted.end());
    return {static_cast<std::int64_t>(count), percentile(sorted, 0.5), percentile(sorted, 0.9), percentile(sorted, 0.99)};
}

void Tally::clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    counts_ = {};
    frames_failed_ = texts_failed_ = 0;
    for (Ring& ring : rings_) ring.count = 0;
}

}  // namespace vljepa
