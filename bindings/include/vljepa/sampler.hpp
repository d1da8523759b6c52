#pragma once

#include <limits>

namespace vljepa {

/// What the time of a frame means.
enum class Verdict { due, skipped, repeated, backwards, bad, restart, gap };

/// Which frames the model sees: the first at or after each due time, whatever the times do. Due times lie `1 / fps` apart
/// on a grid that the first frame sets; a frame may come early by a quarter of the time since the one before it, so that
/// the jitter of a camera at the model's own rate does not halve it.
///
/// A time older than the newest is `backwards` when it is so by at most `gap` seconds, and a `restart` by more: the clock
/// began again, and so does the grid. One that is more than `gap` seconds later is a `gap`. Over 1e12 seconds is `bad`.
class Sampler {
  public:
    Sampler(double fps, double gap);

    /// What to do with a frame of this time; those that are due, a gap or a restart are to be taken.
    Verdict judge(double time);
    /// The frame of this time was good: the next is due a period later. One that failed leaves its turn open.
    void take(double time);
    /// Forget the clock: the next frame is due and begins the grid.
    void restart();

  private:
    bool is_due(double time);
    double step(double time, double slack) const;

    double fps_;
    double gap_;
    double newest_ = -std::numeric_limits<double>::infinity();
    double grid_first_ = std::numeric_limits<double>::infinity();
    double grid_newest_ = std::numeric_limits<double>::infinity();
    double due_ = 0.0;
};

}  // namespace vljepa
