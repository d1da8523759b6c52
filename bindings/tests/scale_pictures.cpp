// Scales pictures, for tests/video/test_pixels_in_cpp.py: the pixels must be those of Python.
//
// In, for each picture: a line `format width height to_width to_height mode matrix range pad`, then its planes, rows padded by
// `pad` bytes. Out: to_width x to_height x 3 bytes. With the argument `plain`, without what only some processors have.

#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "video/rows.hpp"
#include "vljepa/pixels.hpp"

int main(int argc, char** argv) {
    using vljepa::PixelFormat;
    const std::map<std::string, PixelFormat> formats{
        {"rgb", PixelFormat::rgb},   {"bgr", PixelFormat::bgr},   {"rgba", PixelFormat::rgba}, {"bgra", PixelFormat::bgra},
        {"grey", PixelFormat::grey}, {"nv12", PixelFormat::nv12}, {"yuyv", PixelFormat::yuyv}, {"i420", PixelFormat::i420}};
    const bool is_plain = argc > 1 && std::string(argv[1]) == "plain";
    vljepa::Scaler scaler(is_plain ? vljepa::row_steps().front() : vljepa::row_steps().back());
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string format, mode, matrix, range;
        int to_width = 0, to_height = 0;
        std::size_t pad = 0;
        vljepa::Picture picture;
        words >> format >> picture.width >> picture.height >> to_width >> to_height >> mode >> matrix >> range >> pad;
        picture.format = formats.at(format);
        picture.matrix = matrix == "709"   ? vljepa::Matrix::bt709
                         : matrix == "601" ? vljepa::Matrix::bt601
                                           : vljepa::Matrix::automatic;
        picture.is_full_range = range == "full";
        const auto width = static_cast<std::size_t>(picture.width);
        const std::size_t half = (width + 1) / 2;
        const auto height = static_cast<std::size_t>(picture.height);
        const std::size_t half_height = (height + 1) / 2;
        std::vector<std::pair<std::size_t, std::size_t>> planes;  // bytes of a row, rows
        if (format == "nv12") planes = {{width, height}, {2 * half, half_height}};
        else if (format == "i420") planes = {{width, height}, {half, half_height}, {half, half_height}};
        else if (format == "yuyv") planes = {{4 * half, height}};
        else planes = {{width * (format == "grey" ? 1 : format.size()), height}};
        std::vector<std::vector<char>> data;
        for (std::size_t i = 0; i < planes.size(); ++i) {
            picture.strides[i] = planes[i].first + pad;
            data.emplace_back(picture.strides[i] * planes[i].second);
            std::cin.read(data[i].data(), static_cast<std::streamsize>(data[i].size()));
        }
        if (!std::cin) return 1;
        for (std::size_t i = 0; i < planes.size(); ++i) {
            picture.planes[i] = reinterpret_cast<const std::uint8_t*>(data[i].data());
        }
        std::vector<std::uint8_t> out(3 * static_cast<std::size_t>(to_width) * static_cast<std::size_t>(to_height));
        scaler.fit(picture, to_width, to_height, mode == "cover" ? vljepa::Resize::cover : vljepa::Resize::stretch,
                   out.data());
        std::fwrite(out.data(), 1, out.size(), stdout);
        std::fflush(stdout);
    }
}
