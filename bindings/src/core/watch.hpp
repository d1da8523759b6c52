#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "vljepa/head.hpp"

namespace vljepa {

/// Something that is looked for appeared (no end) or is gone. Seconds; `number` counts its sightings from 0.
struct Sighting {
    std::size_t which = 0;
    std::int64_t number = 0;
    double start = 0.0;
    std::optional<double> end;
    double probability = 0.0;  // the largest so far
};

/// `begin` with an end as far below it as the default's.
HysteresisOptions beginning_at(double begin, double hold);

/// Labels or taught events that one stream looks for: from their probabilities at each hop to sightings.
///
/// A hop sees its complete window, so something is above its threshold from when it fills about half of it to when it fills
/// less: a sighting starts and ends in the middle of the windows of the first and the last hop at which it is seen. One
/// that is still seen when the stream ends, ends with the last frame.
class Watch {
  public:
    /// `policies`: one for each thing. Throws InputError as Hysteresis does.
    explicit Watch(const std::vector<HysteresisOptions>& policies);

    /// Tells of a hop: the probability of each thing, the hop's time, and that of its window's oldest frame.
    std::vector<Sighting> push(const std::vector<double>& chances, double time, double since);
    /// The stream ended with a frame at `last`: what is seen is gone.
    std::vector<Sighting> end(double last);
    /// The next hop may have any time. To be called after end().
    void restart_clock();
    /// What is seen now, and its largest probability so far.
    std::vector<std::pair<std::size_t, double>> seen() const;
    /// Forgets all that was seen.
    void reset();

  private:
    Sighting sighting(std::size_t which, const Occurrence& occurrence);

    std::vector<Hysteresis> states_;
    std::vector<std::int64_t> numbers_;
    double middle_ = 0.0;  // of the window of the last hop
};

}  // namespace vljepa
