#pragma once

#include <cstddef>
#include <vector>

namespace vljepa {

/// Where the frames of a sliding window lie, and their times; what is kept of them is kept by whoever asks.
///
/// Each lies in a ring of twice the window's length in which every frame is written twice, at its place and `size` places
/// further on, so that the window is one contiguous piece that starts at first(). Until `size` frames came, the first one
/// stands in for those before it: it is written to all places. No memory is taken after the constructor.
class WindowPlaces {
  public:
    /// Throws InputError unless `size` is at least 1.
    explicit WindowPlaces(std::ptrdiff_t size);

    std::size_t size() const { return size_; }
    /// Frames held since the last clear(), at most size().
    std::size_t count() const { return count_; }
    /// Adds a frame. Returns its place.
    std::size_t push(double time);
    /// The place of the frame that came `age` frames before the newest, `age` below size().
    std::size_t place(std::size_t age) const { return (newest_ + size_ - age) % size_; }
    /// Where the window starts.
    std::size_t first() const { return newest_ + 1; }
    /// Seconds of the window's frames, oldest first, size() of them. Valid until the next push.
    const double* times() const { return times_.data() + first(); }
    /// Forgets the frames.
    void clear() { count_ = 0; }

  private:
    std::size_t size_;
    std::vector<double> times_;
    std::size_t newest_ = 0;
    std::size_t count_ = 0;
};

}  // namespace vljepa
