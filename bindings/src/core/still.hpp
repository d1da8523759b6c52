#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace vljepa {

/// Still scenes: frames that are as the one encoded last, so that they need no encoding.
///
/// Frames are compared with that one, not with the one before, so that a slow fade or pan adds up until it counts.
class Still {
  public:
    /// `window`: frames in the window of what is encoded. `longest`: seconds for which what the frame was encoded to is
    /// given again; then it is to be encoded again. 0: nothing is compared. `levels`: of 255, by which the mean luma of a
    /// block of 8 x 8 pixels may differ; 0: no pixel may differ.
    Still(std::size_t window, double longest, double levels) : window_(window), longest_(longest), levels_(levels) {}

    /// Whether a frame, uint8 (height, width, 3), is as the one that was kept.
    bool is_repeated(const std::uint8_t* frame, std::size_t width, std::size_t height);
    /// Whether the frame that was kept may stand for one of this time.
    bool is_fresh(double time) const { return time >= since_ && time - since_ <= longest_; }
    /// The newest frame that was encoded.
    void keep(const std::uint8_t* frame, std::size_t width, std::size_t height, double time);
    /// The next frame repeats none.
    void forget() { width_ = height_ = 0; }

    /// A frame was added to the window, and repeats the one kept or not. Returns whether the window has changed: one that
    /// held nothing but this frame has not.
    bool count(bool repeats);
    /// How many of the window's newest frames are as one; the first fills the window.
    std::size_t same() const { return same_; }
    /// As forget(), and the window is empty.
    void clear();

  private:
    // The mean luma of each block, without what is left at the right and below. Stops after a row of them where `row`
    // says so: row(first of them, how many, their place in the frame's).
    template <typename Row>
    void blocks_of(const std::uint8_t* frame, std::size_t width, std::size_t height, Row&& row);

    std::size_t window_;
    double longest_;
    double levels_;
    std::size_t width_ = 0;  // of the frame that was kept, 0 where there is none
    std::size_t height_ = 0;
    std::vector<std::uint8_t> frame_;  // one of both, by `levels`
    std::vector<float> blocks_;
    std::vector<std::uint16_t> sums_;  // of the columns of a row of blocks
    std::vector<float> means_;         // of its blocks
    double since_ = -std::numeric_limits<double>::infinity();
    std::size_t same_ = 0;
};

}  // namespace vljepa
