#pragma once

#include <map>
#include <string>
#include <vector>

#include "vljepa/engine.hpp"

namespace vljepa {

/// Features of the last `size` frames. Each lives in a ring of twice that length in which every frame is written twice, so
/// that the window is one contiguous piece. Until `size` frames came, the first one stands in for those before it. Memory
/// is taken at the first push and does not grow.
class Window {
  public:
    explicit Window(std::size_t size) : size_(size), times_(2 * size) {}

    /// Adds a frame: features of shape [1, ...], the same at each push.
    void push(const Outputs& features, double time);
    /// The features as [1, size, ...], oldest first. Valid until the next push.
    const std::vector<Input>& stacked();
    /// Seconds of the oldest frame.
    double oldest() const { return times_[newest_ + 1]; }
    /// Whether the frames of another window of this size have the same times.
    bool has_times_of(const Window& other) const;
    /// Forgets the frames and keeps the memory.
    void clear() { count_ = 0; }

  private:
    struct Ring {
        DataType type = DataType::f32;
        Shape shape;  // of a frame's feature without the leading 1
        std::size_t bytes = 0;
        std::vector<std::byte> data;
    };

    std::size_t size_;
    std::vector<double> times_;
    std::map<std::string, Ring> rings_;
    std::vector<Input> stacked_;
    std::size_t newest_ = 0;
    std::size_t count_ = 0;
};

}  // namespace vljepa
