#pragma once

#include <cstdint>
#include <vector>

#include "stream/clock.hpp"
#include "vljepa/pixels.hpp"

namespace vljepa {

/// A frame on its way: the picture, its time, and when push was called and had admitted it. `number` counts the admitted
/// frames; `stretch` the gaps and restarts before it, `life` the resets.
struct Item {
    Picture picture;
    std::vector<std::uint8_t> pixels;  // of the picture, where the stream has copied it
    double time = 0.0;
    Clock::time_point called;
    Clock::time_point admitted;
    std::int64_t number = 0;
    std::int64_t stretch = 0;
    std::int64_t life = 0;
};

}  // namespace vljepa
