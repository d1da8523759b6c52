#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vljepa {

/// From YUV of 17 bits to RGB, in the integers of libswscale.
struct ToRgb {
    std::int32_t y_offset, y, v_to_r, v_to_g, u_to_g, u_to_b;
};

constexpr std::size_t kBlock = 8;

/// A row scaled across: 15 bits of output from 8 or 14 bits of input, shifted right by `shift`. For each output `first` has
/// its first sample, and `weights` its kBlock x `blocks` weights.
void across(const std::int16_t* samples, const std::int32_t* first, const std::int16_t* weights, std::size_t blocks,
            std::size_t count, int shift, std::int16_t* out);

/// The steps of scaling that gain most by the vectors of a processor. All ways to run them give the same bits.
struct RowSteps {
    /// RGB to BT.601 of 14 bits.
    void (*from_rgb)(const std::uint8_t* rgb, std::size_t count, std::int16_t* y, std::int16_t* u, std::int16_t* v);
    /// `start` plus the sum of `size` rows of `count` samples, each times its weight, shifted to 17 bits.
    void (*down)(const std::int16_t* rows, const std::int16_t* weights, std::size_t size, std::size_t count,
                 std::int32_t start, std::int32_t* out);
    void (*to_rgb)(const std::int32_t* y, const std::int32_t* u, const std::int32_t* v, std::size_t count,
                   const ToRgb& matrix, std::uint8_t* rgb);
};

/// What this processor can run: first what every one can, last what is fastest.
const std::vector<RowSteps>& row_steps();

}  // namespace vljepa
