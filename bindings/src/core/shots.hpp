#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vljepa {

/// Hard cuts and flashes: frames with which another picture begins, so that no window needs to hold both.
///
/// Compares each frame with the one before it: a change of most of the picture that is larger than the motion before it. It
/// is not meant to find dissolves, or objects that come and go: there the window that holds both shows the change. Memory
/// is bounded.
class ShotDetector {
  public:
    /// A feature of a frame, as one row of numbers.
    struct Row {
        const float* data;
        std::size_t count;
    };

    /// `frames`: how many changes back the motion of a shot is looked at.
    explicit ShotDetector(std::size_t frames) : frames_(frames) {}

    /// Whether a shot begins with this frame, uint8 (height, width, 3), with its features, always in the same order. Not
    /// with the first frame.
    bool begins(const std::uint8_t* frame, std::size_t width, std::size_t height, const std::vector<Row>& features);
    /// Forgets the frames.
    void clear();

  private:
    std::size_t frames_;
    bool has_frame_ = false;
    std::vector<std::uint8_t> pixels_;  // of the frame before, one of each cell
    std::vector<std::vector<float>> features_;
    std::vector<std::uint8_t> new_pixels_;  // of the newest frame
    std::vector<double> changes_;           // oldest first
};

}  // namespace vljepa
