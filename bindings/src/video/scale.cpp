// From pixels of any format to rows of luma and chroma, across, down, and to RGB: in the integers of libswscale.

#include <algorithm>
#include <cstring>

#include "vljepa/pixels.hpp"

namespace vljepa {

namespace {

constexpr int kCentre = 128;       // where a sample lies in its pixel, in 1 / 256
constexpr int kAcrossAlign = 4;    // weights of a filter come in such numbers, as x86 and Arm have them
constexpr int kDownAlign = 2;
constexpr int kAcrossOne = 1 << 14;
constexpr int kDownOne = 1 << 12;
constexpr int kLongest = (1 << 15) - 1;

struct ToRgb {
    int y_offset, y, v_to_r, v_to_g, u_to_g, u_to_b;
};

int to_16_bits(std::int64_t value) {
    return static_cast<int>(std::clamp<std::int64_t>((value + (1 << 15)) >> 16, -0x7FFF, 0x7FFF));
}

ToRgb to_rgb(Matrix matrix, bool is_full_range) {
    const bool is_709 = matrix == Matrix::bt709;
    std::int64_t v_to_r = is_709 ? 117489 : 104597;
    std::int64_t u_to_b = is_709 ? 138438 : 132201;
    std::int64_t u_to_g = is_709 ? -13975 : -25675;
    std::int64_t v_to_g = is_709 ? -34925 : -53279;
    std::int64_t y = 1 << 16;
    std::int64_t offset = 0;
    if (is_full_range) {
        for (std::int64_t* value : {&v_to_r, &u_to_b, &u_to_g, &v_to_g}) *value = *value * 224 / 255;
    } else {
        y = y * 255 / 219;
        offset = 16 << 16;
    }
    const auto scaled = [](std::int64_t value) { return to_16_bits(value * (1 << 13)); };
    return {to_16_bits(offset * (1 << 9)), scaled(y), scaled(v_to_r), scaled(v_to_g), scaled(u_to_g), scaled(u_to_b)};
}

// RGB of 8 bits to BT.601 of 14 bits, weights in 1 / 2^15.
constexpr int weight(double share, double range) { return static_cast<int>(share * range / 255 * 32768 + 0.5); }

struct FromRgb {
    static constexpr int kYr = weight(0.299, 219), kYg = weight(0.587, 219), kYb = weight(0.114, 219);
    static constexpr int kUr = -weight(0.169, 224), kUg = -weight(0.331, 224), kUb = weight(0.500, 224);
    static constexpr int kVr = weight(0.500, 224), kVg = -weight(0.419, 224), kVb = -weight(0.081, 224);

    static int luma(int r, int g, int b) { return (kYr * r + kYg * g + kYb * b + (32 << 14) + (1 << 8)) >> 9; }
    static int u(int r, int g, int b) { return (kUr * r + kUg * g + kUb * b + (256 << 14) + (1 << 8)) >> 9; }
    static int v(int r, int g, int b) { return (kVr * r + kVg * g + kVb * b + (256 << 14) + (1 << 8)) >> 9; }
};

// A row of samples scaled across: 15 bits of output from 8 or 14 bits of input.
void across(const std::uint16_t* row, const std::int32_t* first, const std::int16_t* weights, std::size_t size,
            int count, int shift, std::int16_t* out) {
    for (int i = 0; i < count; ++i) {
        const std::uint16_t* from = row + first[i];
        int sum = 0;
        for (std::size_t j = 0; j < size; ++j) sum += from[j] * weights[j];
        out[i] = static_cast<std::int16_t>(std::min(sum >> shift, kLongest));
        weights += size;
    }
}

}  // namespace

const Scaler::Taps& Scaler::taps(std::size_t which, int from, int to, int place, int align, int one) {
    Taps& found = taps_[which];
    if (found.from != from || found.to != to || found.from_place != place) found.make(from, to, place, align, one);
    return found;
}

void Scaler::convert(const Picture& picture, int width, int height, const Part& part, std::uint8_t* out) {
    const bool yuv = is_yuv(picture.format);
    const bool is_half_across = yuv;
    const bool is_half_down = picture.format == PixelFormat::nv12 || picture.format == PixelFormat::i420;
    const int chroma_width = is_half_across ? (picture.width + 1) / 2 : picture.width;
    const int chroma_height = is_half_down ? (picture.height + 1) / 2 : picture.height;
    const Taps& luma_across = taps(0, picture.width, width, kCentre, kAcrossAlign, kAcrossOne);
    const Taps& luma_down = taps(1, picture.height, height, kCentre, kDownAlign, kDownOne);
    const Taps& chroma_across = taps(2, chroma_width, width, kCentre, kAcrossAlign, kAcrossOne);
    const Taps& chroma_down = taps(3, chroma_height, height, kCentre, kDownAlign, kDownOne);

    const auto across_part = static_cast<std::size_t>(part.width);
    const int shift = yuv ? 7 : 13;
    row_.resize(3 * static_cast<std::size_t>(picture.width));
    std::uint16_t* samples[3] = {row_.data(), row_.data() + picture.width, row_.data() + 2 * picture.width};
    const auto scale_row = [&](const Taps& filter, const std::uint16_t* row, std::int16_t* to) {
        const auto left = static_cast<std::size_t>(part.left);
        across(row, filter.first.data() + left, filter.weights.data() + left * filter.size, filter.size, part.width, shift,
               to);
    };
    const auto rows_of = [&](const Taps& filter) {  // the first input row that the part needs, and how many
        const std::int32_t first = filter.first[static_cast<std::size_t>(part.top)];
        const auto last = static_cast<std::size_t>(part.top + part.height - 1);
        return std::pair<int, int>{first, filter.first[last] + static_cast<std::int32_t>(filter.size) - first};
    };
    const auto [luma_first, luma_rows] = rows_of(luma_down);
    const auto [chroma_first, chroma_rows] = rows_of(chroma_down);
    luma_.resize(static_cast<std::size_t>(luma_rows) * across_part);
    u_.resize(static_cast<std::size_t>(chroma_rows) * across_part);
    v_.resize(u_.size());

    for (int y = 0; y < luma_rows; ++y) {
        const std::uint8_t* from = picture.planes[0] + static_cast<std::size_t>(luma_first + y) * picture.strides[0];
        const std::size_t at = static_cast<std::size_t>(y) * across_part;
        if (!yuv) {
            for (int x = 0; x < picture.width; ++x, from += 3) {
                samples[0][x] = static_cast<std::uint16_t>(FromRgb::luma(from[0], from[1], from[2]));
                samples[1][x] = static_cast<std::uint16_t>(FromRgb::u(from[0], from[1], from[2]));
                samples[2][x] = static_cast<std::uint16_t>(FromRgb::v(from[0], from[1], from[2]));
            }
            scale_row(chroma_across, samples[1], u_.data() + at);
            scale_row(chroma_across, samples[2], v_.data() + at);
        } else {
            const int step = picture.format == PixelFormat::yuyv ? 2 : 1;
            for (int x = 0; x < picture.width; ++x) samples[0][x] = from[step * x];
        }
        scale_row(luma_across, samples[0], luma_.data() + at);
    }
    for (int y = 0; yuv && y < chroma_rows; ++y) {
        const auto row = static_cast<std::size_t>(chroma_first + y);
        const std::size_t at = static_cast<std::size_t>(y) * across_part;
        const std::uint8_t* u = picture.planes[1] + row * picture.strides[1];
        const std::uint8_t* v = u + 1;
        std::size_t step = 2;
        if (picture.format == PixelFormat::i420) {
            v = picture.planes[2] + row * picture.strides[2];
            step = 1;
        } else if (picture.format == PixelFormat::yuyv) {
            u = picture.planes[0] + row * picture.strides[0] + 1;
            v = u + 2;
            step = 4;
        }
        for (std::size_t x = 0; x < static_cast<std::size_t>(chroma_width); ++x) {
            samples[1][x] = u[step * x];
            samples[2][x] = v[step * x];
        }
        scale_row(chroma_across, samples[1], u_.data() + at);
        scale_row(chroma_across, samples[2], v_.data() + at);
    }

    Matrix matrix = yuv ? picture.matrix : Matrix::bt601;
    if (matrix == Matrix::automatic) {
        matrix = picture.height >= 720 || picture.width >= 1280 ? Matrix::bt709 : Matrix::bt601;
    }
    const ToRgb rgb = to_rgb(matrix, yuv && picture.is_full_range);
    const bool is_one_row = luma_down.size == 1 && chroma_down.size == 1;
    for (int y = 0; y < part.height; ++y) {
        const auto row = static_cast<std::size_t>(part.top + y);
        const std::int16_t* luma = luma_.data() + static_cast<std::size_t>(luma_down.first[row] - luma_first) * across_part;
        const std::size_t chroma_at = static_cast<std::size_t>(chroma_down.first[row] - chroma_first) * across_part;
        const std::int16_t* u = u_.data() + chroma_at;
        const std::int16_t* v = v_.data() + chroma_at;
        const std::int16_t* luma_weights = luma_down.weights.data() + row * luma_down.size;
        const std::int16_t* chroma_weights = chroma_down.weights.data() + row * chroma_down.size;
        for (std::size_t x = 0; x < across_part; ++x) {
            int light = 1 << 9;
            int blue = (1 << 9) - (128 << 19);
            int red = blue;
            if (is_one_row) {
                light = luma[x] * 4;
                blue = (u[x] - (128 << 7)) * 4;
                red = (v[x] - (128 << 7)) * 4;
            } else {
                for (std::size_t j = 0; j < luma_down.size; ++j) light += luma[j * across_part + x] * luma_weights[j];
                for (std::size_t j = 0; j < chroma_down.size; ++j) {
                    blue += u[j * across_part + x] * chroma_weights[j];
                    red += v[j * across_part + x] * chroma_weights[j];
                }
                light >>= 10;
                blue >>= 10;
                red >>= 10;
            }
            // 32 bits that wrap around: far beyond white libswscale's do, too.
            const auto times = [](int a, int b) { return static_cast<std::uint32_t>(a) * static_cast<std::uint32_t>(b); };
            const std::uint32_t base = times(light - rgb.y_offset, rgb.y) + (1u << 21);
            const std::uint32_t channels[3] = {
                base + times(red, rgb.v_to_r),
                base + times(red, rgb.v_to_g) + times(blue, rgb.u_to_g),
                base + times(blue, rgb.u_to_b),
            };
            for (const std::uint32_t channel : channels) {
                const auto value = static_cast<std::int32_t>(channel);
                *out++ = static_cast<std::uint8_t>(std::clamp(value, 0, (1 << 30) - 1) >> 22);
            }
        }
    }
}

}  // namespace vljepa
