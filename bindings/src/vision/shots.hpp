#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vljepa/engine.hpp"

namespace vljepa {

/// Hard cuts and flashes: frames with which another picture begins, so that no window needs to hold both. Compares each
/// frame with the one before it: a change of most of the picture that is larger than the motion before it.
class ShotDetector {
  public:
    /// `frames`: how many changes back the motion of a shot is looked at.
    ShotDetector(int width, int height, std::size_t frames) : width_(width), height_(height), frames_(frames) {}

    /// Whether a shot begins with this frame, uint8 (height, width, 3), with its features. Not with the first frame.
    bool begins(const std::uint8_t* frame, const Outputs& features);
    void clear();

  private:
    int width_;
    int height_;
    std::size_t frames_;
    std::vector<std::uint8_t> pixels_;  // of the frame before, one of each cell
    std::map<std::string, std::vector<float>> features_;
    std::vector<std::uint8_t> new_pixels_;  // of the newest frame
    std::map<std::string, std::vector<float>> new_features_;
    std::vector<double> changes_;  // oldest first
};

}  // namespace vljepa
