#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <vector>

#include "vljepa/stream.hpp"

namespace vljepa {

constexpr std::size_t kStages = 8;

/// How long each Stage took, in seconds; below 0 where it was not measured.
struct Spent {
    std::array<double, kStages> seconds;

    Spent() { seconds.fill(-1.0); }
    double& operator[](Stage stage) { return seconds[static_cast<std::size_t>(stage)]; }
};

/// Counts of a stream, and the last 4096 durations of each stage in memory that does not grow. Safe from many threads.
class Tally {
  public:
    Tally();

    void add(std::int64_t StreamStats::*count, std::size_t amount = 1);
    void record(const Spent& spent);
    StreamStats stats() const;
    Latency latency(Stage stage) const;
    /// All zero.
    void clear();

  private:
    struct Ring {
        std::vector<float> milliseconds;
        std::size_t count = 0;
    };

    mutable std::mutex mutex_;
    StreamStats counts_;
    std::array<Ring, kStages> rings_;
};

}  // namespace vljepa
