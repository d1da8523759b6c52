// Which part of a picture the model sees, and at what size it is scaled.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "vljepa/error.hpp"
#include "vljepa/pixels.hpp"

namespace vljepa {

namespace {

constexpr int kWaste = 4;    // a side scaled to more than this many times what is kept is cut before
constexpr int kStride = 32;  // a side that shrinks by more is scaled in steps

std::size_t plane_count(PixelFormat format) {
    return format == PixelFormat::i420 ? 3 : format == PixelFormat::nv12 ? 2 : 1;
}

// Bytes of a row of a plane.
std::size_t row_bytes(const Picture& picture, std::size_t plane) {
    const auto width = static_cast<std::size_t>(picture.width);
    const std::size_t half = (width + 1) / 2;
    switch (picture.format) {
        case PixelFormat::rgb:
        case PixelFormat::bgr: return 3 * width;
        case PixelFormat::rgba:
        case PixelFormat::bgra: return 4 * width;
        case PixelFormat::grey: return width;
        case PixelFormat::yuyv: return 4 * half;
        case PixelFormat::nv12: return plane == 0 ? width : 2 * half;
        case PixelFormat::i420: return plane == 0 ? width : half;
    }
    return 0;
}

std::size_t row_count(const Picture& picture, std::size_t plane) {
    const auto height = static_cast<std::size_t>(picture.height);
    return is_yuv(picture.format) && plane > 0 ? (height + 1) / 2 : height;
}

Picture rgb_picture(const std::uint8_t* rgb, int width, int height) {
    Picture picture;
    picture.width = width;
    picture.height = height;
    picture.planes[0] = rgb;
    picture.strides[0] = 3 * static_cast<std::size_t>(width);
    return picture;
}

std::size_t rgb_bytes(int width, int height) {
    return 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
}

// The place of a channel in a pixel of a packed format, and the bytes of a pixel.
struct Packing {
    std::size_t r, g, b, bytes;
};

Packing packing(PixelFormat format) {
    switch (format) {
        case PixelFormat::bgr: return {2, 1, 0, 3};
        case PixelFormat::rgba: return {0, 1, 2, 4};
        case PixelFormat::bgra: return {2, 1, 0, 4};
        case PixelFormat::grey: return {0, 0, 0, 1};
        default: return {0, 1, 2, 3};
    }
}

std::vector<std::uint8_t> packed_rgb(const Picture& picture) {
    std::vector<std::uint8_t> rgb(rgb_bytes(picture.width, picture.height));
    const Packing from = packing(picture.format);
    std::uint8_t* to = rgb.data();
    for (int y = 0; y < picture.height; ++y) {
        const std::uint8_t* pixel = picture.planes[0] + static_cast<std::size_t>(y) * picture.strides[0];
        for (int x = 0; x < picture.width; ++x, pixel += from.bytes) {
            *to++ = pixel[from.r];
            *to++ = pixel[from.g];
            *to++ = pixel[from.b];
        }
    }
    return rgb;
}

int root(std::int64_t value) {
    auto found = static_cast<std::int64_t>(std::sqrt(static_cast<double>(value)));
    while (found * found > value) --found;
    while ((found + 1) * (found + 1) <= value) ++found;
    return static_cast<int>(found);
}

int kept_of(int side, int wanted, double scale) {
    return static_cast<int>(std::min(static_cast<double>(side), std::ceil(kWaste / 2.0 * wanted / scale)));
}

}  // namespace

void check_picture(const Picture& picture) {
    const std::string size = std::to_string(picture.width) + " x " + std::to_string(picture.height);
    if (picture.width < 1 || picture.height < 1) throw FrameError("a frame must have pixels, got " + size);
    if (std::int64_t{picture.width} * picture.height > kMostPixels) {
        throw FrameError("a frame of " + size + " is too large; it must have at most " + std::to_string(kMostPixels) +
                         " pixels");
    }
    for (std::size_t plane = 0; plane < plane_count(picture.format); ++plane) {
        if (picture.planes[plane] == nullptr) throw FrameError("plane " + std::to_string(plane) + " must not be NULL");
        const std::size_t least = row_bytes(picture, plane);
        if (picture.strides[plane] != 0 && picture.strides[plane] < least) {
            throw FrameError("the stride of plane " + std::to_string(plane) + " must be at least " + std::to_string(least) +
                             " bytes for frames of " + size + ", got " + std::to_string(picture.strides[plane]));
        }
    }
}

Picture copied(const Picture& picture, std::vector<std::uint8_t>& memory) {
    check_picture(picture);
    std::size_t size = 0;
    for (std::size_t plane = 0; plane < plane_count(picture.format); ++plane) {
        size += row_bytes(picture, plane) * row_count(picture, plane);
    }
    memory.resize(size);
    Picture copy = picture;
    std::uint8_t* to = memory.data();
    for (std::size_t plane = 0; plane < plane_count(picture.format); ++plane) {
        const std::size_t bytes = row_bytes(picture, plane);
        const std::size_t stride = picture.strides[plane] == 0 ? bytes : picture.strides[plane];
        const std::uint8_t* from = picture.planes[plane];
        copy.planes[plane] = to;
        copy.strides[plane] = bytes;
        for (std::size_t row = 0; row < row_count(picture, plane); ++row, from += stride, to += bytes) {
            std::memcpy(to, from, bytes);
        }
    }
    return copy;
}

void Scaler::fit(const Picture& picture, int width, int height, Resize mode, std::uint8_t* out) {
    check_picture(picture);
    Picture given = picture;
    for (std::size_t plane = 0; plane < plane_count(given.format); ++plane) {
        if (given.strides[plane] == 0) given.strides[plane] = row_bytes(given, plane);
    }
    std::vector<std::uint8_t> rgb;
    if (!is_yuv(given.format) && given.format != PixelFormat::rgb) {
        rgb = packed_rgb(given);
        given = rgb_picture(rgb.data(), given.width, given.height);
    }
    if (mode == Resize::stretch) {
        scale(given, width, height, {0, 0, width, height}, out);
    } else {
        cover(given, width, height, out);
    }
}

void Scaler::cover(const Picture& picture, int width, int height, std::uint8_t* out) {
    const double scale_by = std::max(static_cast<double>(width) / picture.width, static_cast<double>(height) / picture.height);
    const double wide = std::max<double>(width, std::nearbyint(picture.width * scale_by));
    const double high = std::max<double>(height, std::nearbyint(picture.height * scale_by));
    if (wide > static_cast<double>(kWaste) * width || high > static_cast<double>(kWaste) * height) {
        const int keep_x = kept_of(picture.width, width, scale_by);
        const int keep_y = kept_of(picture.height, height, scale_by);
        if (keep_x != picture.width || keep_y != picture.height) {
            std::vector<std::uint8_t> cut(rgb_bytes(keep_x, keep_y));
            const Part part{(picture.width - keep_x) / 2, (picture.height - keep_y) / 2, keep_x, keep_y};
            scale(picture, picture.width, picture.height, part, cut.data());
            cover(rgb_picture(cut.data(), keep_x, keep_y), width, height, out);
            return;
        }
    }
    const int scaled_width = static_cast<int>(wide);
    const int scaled_height = static_cast<int>(high);
    scale(picture, scaled_width, scaled_height,
          {(scaled_width - width) / 2, (scaled_height - height) / 2, width, height}, out);
}

void Scaler::scale(const Picture& picture, int width, int height, const Part& part, std::uint8_t* out) {
    if (picture.width > kStride * width || picture.height > kStride * height) {
        const int between_x = root(std::int64_t{picture.width} * width);
        const int between_y = root(std::int64_t{picture.height} * height);
        std::vector<std::uint8_t> between(rgb_bytes(between_x, between_y));
        scale(picture, between_x, between_y, {0, 0, between_x, between_y}, between.data());
        scale(rgb_picture(between.data(), between_x, between_y), width, height, part, out);
        return;
    }
    if (picture.format == PixelFormat::rgb && picture.width == width && picture.height == height) {
        const std::size_t bytes = 3 * static_cast<std::size_t>(part.width);
        for (int y = 0; y < part.height; ++y) {
            const std::size_t from = static_cast<std::size_t>(part.top + y) * picture.strides[0];
            std::memcpy(out, picture.planes[0] + from + 3 * static_cast<std::size_t>(part.left), bytes);
            out += bytes;
        }
        return;
    }
    convert(picture, width, height, part, out);
}

}  // namespace vljepa
