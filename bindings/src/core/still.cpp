#include "core/still.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace vljepa {

namespace {

// Pixels: the side of a block. The noise of a sensor, 5 levels of a pixel, moves the mean of 64 of them by half a level.
constexpr std::size_t kBlock = 8;
constexpr float kLuma[] = {0.299F, 0.587F, 0.114F};

}  // namespace

template <typename Row>
void Still::blocks_of(const std::uint8_t* frame, std::size_t width, std::size_t height, Row&& row) {
    const std::size_t high = std::min(kBlock, height);
    const std::size_t wide = std::min(kBlock, width);
    const std::size_t columns = width / wide;
    const auto pixels = static_cast<float>(high * wide);
    sums_.resize(3 * width);
    means_.resize(columns);
    for (std::size_t top = 0; top + high <= height; top += high) {
        std::fill(sums_.begin(), sums_.end(), std::uint16_t{0});
        for (std::size_t y = top; y < top + high; ++y) {
            const std::uint8_t* line = frame + 3 * width * y;
            for (std::size_t x = 0; x < 3 * width; ++x) sums_[x] = static_cast<std::uint16_t>(sums_[x] + line[x]);
        }
        for (std::size_t block = 0; block < columns; ++block) {
            const std::uint16_t* sum = sums_.data() + 3 * wide * block;
            std::uint32_t channels[3] = {};
            for (std::size_t x = 0; x < 3 * wide; ++x) channels[x % 3] += sum[x];
            float luma = 0.0F;
            for (std::size_t c = 0; c < 3; ++c) luma += kLuma[c] * static_cast<float>(channels[c]);
            means_[block] = luma / pixels;
        }
        if (!row(top / high * columns)) return;
    }
}

bool Still::is_repeated(const std::uint8_t* frame, std::size_t width, std::size_t height) {
    if (width_ == 0 || width != width_ || height != height_) return false;
    if (levels_ <= 0.0) return std::memcmp(frame_.data(), frame, frame_.size()) == 0;
    bool is_near = true;
    blocks_of(frame, width, height, [&](std::size_t first) {
        for (std::size_t i = 0; i < means_.size(); ++i) {
            is_near = is_near && std::abs(means_[i] - blocks_[first + i]) <= static_cast<float>(levels_);
        }
        return is_near;
    });
    return is_near;
}

void Still::keep(const std::uint8_t* frame, std::size_t width, std::size_t height, double time) {
    if (longest_ <= 0.0 || width == 0 || height == 0) return;
    width_ = width;
    height_ = height;
    since_ = time;
    if (levels_ <= 0.0) {
        frame_.assign(frame, frame + 3 * width * height);
        return;
    }
    blocks_.clear();
    blocks_of(frame, width, height, [&](std::size_t) {
        blocks_.insert(blocks_.end(), means_.begin(), means_.end());
        return true;
    });
}

bool Still::count(bool repeats) {
    const bool has_changed = !repeats || same_ < window_;
    if (same_ == 0) same_ = window_;
    else same_ = repeats ? std::min(same_ + 1, window_) : 1;
    return has_changed;
}

void Still::clear() {
    forget();
    same_ = 0;
}

}  // namespace vljepa
