// Every way to scale that this processor has gives the pixels of the way that all have, at any size and of any format. That
// those are libswscale's is for Python's tests.

#include <random>
#include <vector>

#include "check.hpp"
#include "video/rows.hpp"
#include "vljepa/pixels.hpp"

int main() {
    using vljepa::PixelFormat;
    std::mt19937 draw(0);
    const auto up_to = [&](int most) { return 1 + static_cast<int>(draw() % static_cast<unsigned>(most)); };
    std::vector<vljepa::Scaler> scalers;
    for (const vljepa::RowSteps& steps : vljepa::row_steps()) scalers.emplace_back(steps);
    for (int i = 0; i < 300; ++i) {
        const auto format = static_cast<PixelFormat>(draw() % 8);
        const int width = up_to(300), height = up_to(200), to_width = up_to(120), to_height = up_to(120);
        const auto mode = i % 2 == 0 ? vljepa::Resize::cover : vljepa::Resize::stretch;
        std::vector<std::uint8_t> pixels(4 * static_cast<std::size_t>(width + 1) * static_cast<std::size_t>(height + 1));
        for (std::uint8_t& level : pixels) level = static_cast<std::uint8_t>(i % 3 == 0 ? 255 * (draw() & 1) : draw());
        vljepa::Picture picture;
        picture.format = format;
        picture.width = width;
        picture.height = height;
        picture.planes = {pixels.data(), pixels.data(), pixels.data()};
        std::vector<std::vector<std::uint8_t>> made;
        for (vljepa::Scaler& scaler : scalers) {
            made.emplace_back(3 * static_cast<std::size_t>(to_width) * static_cast<std::size_t>(to_height));
            scaler.fit(picture, to_width, to_height, mode, made.back().data());
        }
        for (const auto& pixels_of_one : made) CHECK(pixels_of_one == made.front());
    }
}
