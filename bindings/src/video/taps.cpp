// The weights of a bicubic filter in integers, as libswscale rounds them, so that scaled pixels are the same.

#include <algorithm>
#include <cstdlib>

#include "video/rows.hpp"
#include "vljepa/pixels.hpp"

namespace vljepa {

namespace {

constexpr std::int64_t kUnit = std::int64_t{1} << 30;                               // a distance of one pixel
constexpr auto kSharpness = static_cast<std::int64_t>(0.6 * (std::int64_t{1} << 24));  // of the cubic, in 1 / 2^24
constexpr double kNegligible = 0.002;  // the share of a filter that its outermost weights may have and be left out

// The cubic at a distance from its centre, in units of 2^54.
std::int64_t cubic(std::int64_t distance) {
    if (distance >= 2 * kUnit) return 0;
    const std::int64_t squared = (distance * distance) >> 30;
    const std::int64_t cubed = (squared * distance) >> 30;
    const std::int64_t one = std::int64_t{1} << 24;
    if (distance < kUnit) {
        return (12 * one - 6 * kSharpness) * cubed + (6 * kSharpness - 18 * one) * squared + 6 * one * kUnit;
    }
    return -6 * kSharpness * cubed + 30 * kSharpness * squared - 48 * kSharpness * distance + 24 * kSharpness * kUnit;
}

std::int64_t rounded(std::int64_t value, std::int64_t by) {
    return (value >= 0 ? value + (by >> 1) : value - (by >> 1)) / by;
}

int log2_of(int value) {
    int found = 0;
    while (value > 1) {
        value >>= 1;
        ++found;
    }
    return found;
}

// Rows of weights while they are made.
struct Rows {
    std::size_t size = 0;
    std::vector<std::int64_t> weights;
    std::vector<std::int32_t> first;

    std::int64_t* row(std::size_t i) { return weights.data() + i * size; }
};

Rows sampled(int from, int to, std::int64_t step, int place, std::int64_t scale) {
    Rows rows;
    int size = step <= 1 << 16 ? 5 : 1 + (4 * from + to - 1) / to;
    size = std::max(std::min(size, from - 2), 1);
    rows.size = static_cast<std::size_t>(size);
    rows.first.resize(static_cast<std::size_t>(to));
    rows.weights.resize(rows.first.size() * rows.size);
    // Twice the place of an output pixel's centre among the input pixels, in 1 / 2^16.
    std::int64_t centre = ((128 * step) >> 7) - ((place * std::int64_t{0x10000}) >> 7);
    for (std::size_t i = 0; i < rows.first.size(); ++i) {
        const auto begin = static_cast<std::int32_t>((centre - (size - 2) * (std::int64_t{1} << 16)) / (1 << 17));
        rows.first[i] = begin;
        for (std::size_t j = 0; j < rows.size; ++j) {
            const std::int64_t at = begin + static_cast<std::int64_t>(j);
            std::int64_t distance = std::abs(at * (1 << 17) - centre) << 13;
            if (step > 1 << 16) distance = distance * to / from;
            rows.row(i)[j] = cubic(distance) / ((std::int64_t{1} << 54) / scale);
        }
        centre += 2 * step;
    }
    return rows;
}

// Drops weights next to nothing at the left of each row, and says how many of the longest row are left.
std::size_t trim(Rows& rows, std::int64_t scale) {
    std::size_t longest = 0;
    const double least = kNegligible * static_cast<double>(scale);
    for (std::size_t i = rows.first.size(); i-- > 0;) {
        std::int64_t* row = rows.row(i);
        std::int64_t dropped = 0;
        for (std::size_t j = 0; j < rows.size; ++j) {
            dropped += std::abs(row[0]);
            if (static_cast<double>(dropped) > least) break;
            if (i + 1 < rows.first.size() && rows.first[i] >= rows.first[i + 1]) break;  // first pixels never go back
            std::move(row + 1, row + rows.size, row);
            row[rows.size - 1] = 0;
            ++rows.first[i];
        }
        dropped = 0;
        std::size_t kept = rows.size;
        for (std::size_t j = rows.size - 1; j > 0; --j) {
            dropped += std::abs(row[j]);
            if (static_cast<double>(dropped) > least) break;
            --kept;
        }
        longest = std::max(longest, kept);
    }
    return longest;
}

Rows resized(Rows& rows, std::size_t size) {
    Rows out{size, std::vector<std::int64_t>(rows.first.size() * size), rows.first};
    for (std::size_t i = 0; i < rows.first.size(); ++i) {
        std::copy_n(rows.row(i), std::min(size, rows.size), out.row(i));
    }
    return out;
}

// Weights of pixels beyond the picture's edge go to the pixel at the edge.
void keep_inside(Rows& rows, int from) {
    const auto size = static_cast<std::int32_t>(rows.size);
    for (std::size_t i = 0; i < rows.first.size(); ++i) {
        std::int64_t* row = rows.row(i);
        std::int32_t& first = rows.first[i];
        if (first < 0) {
            for (std::int32_t j = 1; j < size; ++j) {
                const std::int32_t left = std::max(j + first, 0);
                const std::int64_t moved = row[j];
                row[j] = 0;
                row[left] += moved;
            }
            first = 0;
        }
        if (first + size <= from) continue;
        const std::int32_t shift = first + std::min(size - from, 0);
        std::int64_t beyond = 0;
        for (std::int32_t j = size - 1; j >= 0; --j) {
            if (first + j >= from) {
                beyond += row[j];
                row[j] = 0;
            }
        }
        for (std::int32_t j = size - 1; j >= 0; --j) row[j] = j < shift ? 0 : row[j - shift];
        first -= shift;
        row[from - 1 - first] += beyond;
    }
}

}  // namespace

void Scaler::Taps::make(int from_size, int to_size, int place, int align, int one) {
    from = from_size;
    to = to_size;
    from_place = place;
    const std::int64_t step = ((static_cast<std::int64_t>(from) << 16) + (to >> 1)) / to;
    const std::int64_t scale = std::int64_t{1} << (54 - std::min(log2_of(from / to), 8));
    Rows rows;
    if (std::abs(step - 0x10000) < 10 && place == 128) {
        rows.size = 1;
        rows.weights.assign(static_cast<std::size_t>(to), scale);
        rows.first.resize(static_cast<std::size_t>(to));
        for (int i = 0; i < to; ++i) rows.first[static_cast<std::size_t>(i)] = i;
    } else {
        rows = sampled(from, to, step, place, scale);
    }
    std::size_t kept = trim(rows, scale);
    if (kept > 1 || align != 2) kept = (kept + static_cast<std::size_t>(align) - 1) / align * align;
    rows = resized(rows, std::max<std::size_t>(kept, 1));
    keep_inside(rows, from);

    size = rows.size;
    first = rows.first;
    stride = (size + kBlock - 1) / kBlock * kBlock;
    weights.assign(first.size() * stride, 0);
    for (std::size_t i = 0; i < first.size(); ++i) {
        const std::int64_t* row = rows.row(i);
        std::int64_t sum = 0;
        for (std::size_t j = 0; j < size; ++j) sum += row[j];
        sum = std::max<std::int64_t>((sum + one / 2) / one, 1);
        std::int64_t error = 0;  // of rounding, which the next weight makes good
        for (std::size_t j = 0; j < size; ++j) {
            const std::int64_t value = row[j] + error;
            const std::int64_t integer = rounded(value, sum);
            weights[i * stride + j] = static_cast<std::int16_t>(integer);
            error = value - integer * sum;
        }
    }
}

}  // namespace vljepa
