#pragma once

#include <chrono>

namespace vljepa {

using Clock = std::chrono::steady_clock;

inline double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }
inline double seconds_since(Clock::time_point begun) { return seconds(Clock::now() - begun); }

}  // namespace vljepa
