#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vljepa/manifest.hpp"

namespace vljepa {

struct RowSteps;

enum class PixelFormat { rgb, bgr, rgba, bgra, grey, nv12, yuyv, i420 };

constexpr bool is_yuv(PixelFormat format) {
    return format == PixelFormat::nv12 || format == PixelFormat::yuyv || format == PixelFormat::i420;
}

/// Which numbers YUV stands for. `automatic` is what players assume of video without a tag: BT.709 from 720p on, else
/// BT.601, in limited range.
enum class Matrix { automatic, bt601, bt709 };

/// A frame in memory that the caller keeps. Planes: one, of nv12 two (Y, UV), of i420 three (Y, U, V). `strides`: bytes
/// from one row to the next of each plane; 0 where rows follow each other without a gap.
struct Picture {
    PixelFormat format = PixelFormat::rgb;
    int width = 0;
    int height = 0;
    std::array<const std::uint8_t*, 3> planes{};
    std::array<std::size_t, 3> strides{};
    Matrix matrix = Matrix::automatic;
    bool is_full_range = false;  // of YUV: 0 to 255, not 16 to 235
};

constexpr std::int64_t kMostPixels = std::int64_t{1} << 27;

/// Throws FrameError unless the picture has pixels, not over kMostPixels of them, and planes whose strides hold a row.
void check_picture(const Picture& picture);

/// The same picture with its pixels in `memory`, row after row, which grows where it must. Throws as check_picture() does.
Picture copied(const Picture& picture, std::vector<std::uint8_t>& memory);

/// Scales pictures to RGB of the model's size, bicubic with antialiasing, to the same pixels as vljepa-edge in Python,
/// which has libswscale do it. Keeps its tables and buffers between pictures; one thread uses it at a time.
class Scaler {
  public:
    Scaler();
    /// With one of several ways to compute the same, for tests.
    explicit Scaler(const RowSteps& steps) : steps_(&steps) {}

    /// `out` holds width x height x 3 bytes. cover: scales until both sides are filled and keeps the centre; stretch
    /// ignores the proportions. Throws FrameError.
    void fit(const Picture& picture, int width, int height, Resize mode, std::uint8_t* out);

  private:
    using Samples = std::vector<std::int16_t>;

    /// The filter of one direction: for each output pixel, the first input pixel and `size` weights, then zeros up to
    /// `stride`.
    struct Taps {
        int from = 0;
        int to = 0;
        int from_place = -1;
        std::size_t size = 0;
        std::size_t stride = 0;
        std::vector<std::int32_t> first;
        std::vector<std::int16_t> weights;

        void make(int from_size, int to_size, int place, int align, int one);
    };

    struct Part {  // of the scaled picture: what is kept of it
        int left, top, width, height;
    };

    void cover(const Picture& picture, int width, int height, std::uint8_t* out);
    void scale(const Picture& picture, int width, int height, const Part& part, std::uint8_t* out);
    void convert(const Picture& picture, int width, int height, const Part& part, std::uint8_t* out);
    const Taps& taps(std::size_t which, int from, int to, int place, int align, int one);

    std::array<Taps, 4> taps_;  // luma across, luma down, chroma across, chroma down
    const RowSteps* steps_;
    Samples row_;
    Samples luma_;
    Samples u_;
    Samples v_;
    std::vector<std::int32_t> sums_;
};

}  // namespace vljepa
