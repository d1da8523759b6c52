#pragma once

#include <cstddef>

namespace vljepa {

/// What a live worker can afford: every frame is encoded, and hops are left out first. Durations in, decisions out; no clock.
///
/// The frames of a window should be evenly spaced, so frames are encoded in order. Once one has waited for longer than
/// `patience`, no hop is made until no frame waits any more: the next hop sees the newest frame. Where encoding alone takes
/// as long as the camera, that moment never comes. Then the newest frame is taken, those before it are dropped, and hops
/// take at most as long as the encoding between them.
class Pace {
  public:
    /// `period`: seconds between two frames of the model. `patience`: seconds that a frame may wait.
    Pace(double period, double patience);

    /// Forgets what was measured.
    void restart();
    /// A frame was scaled and encoded in so many seconds.
    void note_frame(double seconds);
    /// A hop took so many seconds, listeners included.
    void note_hop(double seconds);
    /// Whether encoding is faster than the frames come.
    bool keeps_up() const;
    /// Whether to make a hop at a frame that waited so many seconds, while `waiting` newer ones wait.
    bool can_hop(double waited, std::size_t waiting);

  private:
    double limit_;
    double patience_;
    double before_ = 0.0;  // how long encoding the last two frames took: one that was held up once says nothing
    double newest_ = 0.0;
    double since_hop_ = 0.0;
    double hop_ = 0.0;
    bool catches_up_ = false;
};

}  // namespace vljepa
