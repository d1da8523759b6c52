#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/window_places.hpp"
#include "vljepa/engine.hpp"

namespace vljepa {

/// Features of the last `size` frames, each in a ring (see WindowPlaces). Memory is taken at the first push and does not
/// grow.
class Window {
  public:
    explicit Window(std::size_t size) : places_(static_cast<std::ptrdiff_t>(size)) {}

    /// Adds a frame: features of shape [1, ...], the same at each push.
    void push(const Outputs& features, double time);
    /// Puts one frame's features in place of those of the newest `count` frames, at most the window's. Times stay.
    void renew(const Outputs& features, std::size_t count);
    /// The features as [1, size, ...], oldest first. Valid until the next push.
    const std::vector<Input>& stacked();
    /// Seconds of the oldest frame.
    double oldest() const { return places_.times()[0]; }
    /// Whether the frames of another window of this size have the same times.
    bool has_times_of(const Window& other) const;
    /// Forgets the frames and keeps the memory.
    void clear() { places_.clear(); }

  private:
    struct Ring {
        DataType type = DataType::f32;
        Shape shape;  // of a frame's feature without the leading 1
        std::size_t bytes = 0;
        std::vector<std::byte> data;
    };

    void write(const Outputs& features, std::size_t place);

    WindowPlaces places_;
    std::map<std::string, Ring> rings_;
    std::vector<Input> stacked_;
};

}  // namespace vljepa
