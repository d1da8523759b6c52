#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace vljepa {

/// A segment on the clock of events, which has no end while it is open.
struct Span {
    std::int64_t segment = 0;
    double start = 0.0;
    std::optional<double> end;
};

/// The segments of one query on the clock of events: from the decisions of its policy to cuts.
///
/// A cut lies in the middle between the first hop of the new segment and what the policy knows to be before it: the oldest
/// frame in the window of that hop, or a later hop that was as the old segment. The window restarts at a hard cut, and then
/// that is where the cut lies. Each cut lies after the one before it.
class Segments {
  public:
    /// What the policy is to be told of a hop as the oldest time that it speaks of. `since`: the oldest frame of its window.
    double told(double time, double since) const;
    /// The policy was told of a hop, and has decided that the open segment closes, that one opens, when what that is about
    /// began at the earliest, and when it started. What closed and what opened, in this order.
    std::vector<Span> push(double time, bool closes, bool opens, double since, double start);
    /// The stream ended with a frame at `time`, and the policy was flushed. What closed, if it closes something.
    std::optional<Span> end(double time, bool closes);
    /// The next hop may have any time, and the next segment starts no earlier than it.
    void restart_clock() { earliest_.reset(); }
    void reset();

  private:
    Span close(double end);

    std::int64_t segment_ = -1;
    std::optional<double> start_;
    std::optional<double> earliest_;
    double hop_ = 0.0;
};

}  // namespace vljepa
