#pragma once

#include <array>
#include <cstddef>

namespace vljepa {

/// What a live worker can afford: every frame is encoded, and hops are left out first. Durations in, decisions out; no clock.
///
/// The frames of a window should be evenly spaced, so frames are encoded in order. Once one has waited for longer than
/// `patience`, no hop is made until no frame waits any more: the next hop sees the newest frame. Where encoding alone takes
/// as long as the camera, that moment never comes. Then the newest frame is taken, those before it are dropped, and hops
/// take at most as long as the encoding between them.
///
/// So hops never stop. Once encoding had its share, the time of a hop, no hop is made only while each 8 frames take 0.8 of
/// their time at most, and what waits gets less by 0.2 of it.
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
    /// Whether encoding is faster than the frames come: one of the last two frames was, and the mean of the last 8. A frame
    /// that was held up once says nothing.
    bool keeps_up() const;
    /// Whether to make a hop at a frame that waited so many seconds, while `waiting` newer ones wait.
    bool can_hop(double waited, std::size_t waiting);

  private:
    double limit_;
    double patience_;
    std::array<double, 8> took_{};  // seconds for each of the last frames, the newest last
    double since_hop_ = 0.0;
    double hop_ = 0.0;
    bool catches_up_ = false;
};

}  // namespace vljepa
