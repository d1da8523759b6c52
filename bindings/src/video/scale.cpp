// From pixels of any format to rows of luma and chroma, across, down, and to RGB: in the integers of libswscale.

#include <algorithm>
#include <utility>

#include "video/rows.hpp"
#include "vljepa/pixels.hpp"

namespace vljepa {

namespace {

constexpr int kCentre = 128;       // where a sample lies in its pixel, in 1 / 256
constexpr int kAcrossAlign = 4;    // weights of a filter come in such numbers, as x86 and Arm have them
constexpr int kDownAlign = 2;
constexpr int kAcrossOne = 1 << 14;
constexpr int kDownOne = 1 << 12;
constexpr std::int16_t kOneRow[] = {kDownOne};
constexpr std::int32_t kHalf = 1 << 9;     // of what is shifted away after scaling down
constexpr std::int32_t kGrey = 128 << 19;  // chroma of grey before that shift

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

}  // namespace

Scaler::Scaler() : Scaler(row_steps().back()) {}

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

    const auto count = static_cast<std::size_t>(part.width);
    const auto left = static_cast<std::size_t>(part.left);
    const int shift = yuv ? 7 : 13;
    const auto span = [](const Taps& filter, int begin, int size) {  // of the input that a part needs: first, beyond the last
        const auto first = static_cast<std::size_t>(filter.first[static_cast<std::size_t>(begin)]);
        const auto last = static_cast<std::size_t>(filter.first[static_cast<std::size_t>(begin + size - 1)]);
        return std::pair(first, std::min(last + filter.size, static_cast<std::size_t>(filter.from)));
    };
    const auto [luma_left, luma_right] = span(luma_across, part.left, part.width);
    const auto [chroma_left, chroma_right] = span(chroma_across, part.left, part.width);
    const auto [luma_first, luma_end] = span(luma_down, part.top, part.height);
    const auto [chroma_first, chroma_end] = span(chroma_down, part.top, part.height);
    // Weights beyond the picture are zero, the samples there anything.
    const std::size_t row_size = static_cast<std::size_t>(picture.width) + std::max(luma_across.stride, chroma_across.stride);
    row_.resize(3 * row_size);
    std::int16_t* samples[3] = {row_.data(), row_.data() + row_size, row_.data() + 2 * row_size};
    luma_.resize((luma_end - luma_first) * count);
    u_.resize((chroma_end - chroma_first) * count);
    v_.resize(u_.size());
    const auto scale_row = [&](const Taps& filter, const std::int16_t* row, std::int16_t* to) {
        across(row, filter.first.data() + left, filter.weights.data() + left * filter.stride, filter.stride / kBlock, count,
               shift, to);
    };

    for (std::size_t y = luma_first; y < luma_end; ++y) {
        const std::uint8_t* from = picture.planes[0] + y * picture.strides[0];
        const std::size_t at = (y - luma_first) * count;
        if (!yuv) {
            steps_->from_rgb(from + 3 * luma_left, luma_right - luma_left, samples[0] + luma_left, samples[1] + luma_left,
                             samples[2] + luma_left);
            scale_row(chroma_across, samples[1], u_.data() + at);
            scale_row(chroma_across, samples[2], v_.data() + at);
        } else {
            const std::size_t step = picture.format == PixelFormat::yuyv ? 2 : 1;
            for (std::size_t x = luma_left; x < luma_right; ++x) samples[0][x] = from[step * x];
        }
        scale_row(luma_across, samples[0], luma_.data() + at);
    }
    for (std::size_t y = chroma_first; yuv && y < chroma_end; ++y) {
        const std::size_t at = (y - chroma_first) * count;
        const std::uint8_t* u = picture.planes[1] + y * picture.strides[1];
        const std::uint8_t* v = u + 1;
        std::size_t step = 2;
        if (picture.format == PixelFormat::i420) {
            v = picture.planes[2] + y * picture.strides[2];
            step = 1;
        } else if (picture.format == PixelFormat::yuyv) {
            u = picture.planes[0] + y * picture.strides[0] + 1;
            v = u + 2;
            step = 4;
        }
        for (std::size_t x = chroma_left; x < chroma_right; ++x) {
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
    sums_.resize(3 * count);
    std::int32_t* sums[3] = {sums_.data(), sums_.data() + count, sums_.data() + 2 * count};
    for (int y = 0; y < part.height; ++y) {
        const auto row = static_cast<std::size_t>(part.top + y);
        const auto sum = [&](const Taps& filter, std::size_t first, const Samples& rows, std::int32_t start, std::int32_t* to) {
            const std::int16_t* from = rows.data() + (static_cast<std::size_t>(filter.first[row]) - first) * count;
            const std::int16_t* weights = is_one_row ? kOneRow : filter.weights.data() + row * filter.stride;
            steps_->down(from, weights, filter.size, count, start, to);
        };
        sum(luma_down, luma_first, luma_, kHalf, sums[0]);
        sum(chroma_down, chroma_first, u_, kHalf - kGrey, sums[1]);
        sum(chroma_down, chroma_first, v_, kHalf - kGrey, sums[2]);
        steps_->to_rgb(sums[0], sums[1], sums[2], count, rgb, out);
        out += 3 * count;
    }
}

}  // namespace vljepa
