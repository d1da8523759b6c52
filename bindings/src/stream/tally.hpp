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
    /// A text could not be decoded.
    void add_failed_text();
    /// See Stream::failing().
    std::int64_t failing() const;
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
    std::int64_t frames_failed_ = 0;  // since the last hop that succeeded
    std::int64_t texts_failed_ = 0;   // since the last that was decoded
    std::array<Ring, kStages> rings_;
};

}  // namespace vljepa
