#pragma once

#include <limits>
#include <optional>

namespace vljepa {

/// Seconds. Containers round stamps, Matroska to a millisecond: a frame that is early by no more than this is on time.
constexpr double kRounding = 1e-3;
/// The share of the time since the frame before by which a frame of a camera may come early, so that the jitter of one at
/// the model's own rate does not halve it. Recordings have no jitter.
constexpr double kEarly = 0.25;

/// Samples at `fps`: the first frame at or after each due time. The first frame sets the grid, and so does one that is
/// older than the frame before it. A frame may come early by the share `early` of the time since the one before it, of
/// 1 / fps at most. Without a rate every frame is taken.
class Grid {
  public:
    explicit Grid(std::optional<double> fps, double early = 0.0);

    /// Whether the next frame, which has this time, is due; if so it is taken.
    bool takes(double time);
    /// Whether the next frame, which has this time, is one to take().
    bool is_due(double time);
    /// The frame of this time is good: the next is due a period later. One that isn't leaves its turn open.
    void take(double time);
    /// The next frame begins the grid.
    void restart();

  private:
    double step(double time, double slack) const;

    std::optional<double> fps_;
    double early_;
    double rounding_;
    double first_ = std::numeric_limits<double>::infinity();
    double newest_ = std::numeric_limits<double>::infinity();
    double due_ = 0.0;
};

/// What the time of a frame means.
enum class Verdict { due, skipped, repeated, backwards, bad, restart, gap };

/// Which frames of a camera the model sees, whatever their times do: those that are due on a Grid.
///
/// A time older than the newest is `backwards` when it is so by at most `gap` seconds, 10 at most, and a `restart` by more:
/// the clock began again (a camera reconnected), and so does the grid. So a wild time in the future costs at most so many
/// seconds of frames. One that is more than `gap` seconds later than the newest is a `gap`: no frame came in between. Over
/// 1e12 seconds is `bad`: milliseconds or nanoseconds.
class Sampler {
  public:
    /// `gap`: seconds, above 1 / fps.
    Sampler(double fps, double gap);

    /// What to do with a frame of this time; those that are due, a gap or a restart are to be taken.
    Verdict judge(double time);
    /// The frame of this time was good: the next is due a period later. One that failed leaves its turn open.
    void take(double time) { grid_.take(time); }
    /// Forget the clock: the next frame is due and begins the grid.
    void restart();

  private:
    Grid grid_;
    double gap_;
    double newest_ = -std::numeric_limits<double>::infinity();
};

}  // namespace vljepa
