// Loops over the samples of a row, written so that compilers turn them into vectors: no two pointers to the same memory, no
// calls, integers no wider than they must be.

#include "video/rows.hpp"

#if defined(_MSC_VER)
#define VLJEPA_RESTRICT __restrict
#define VLJEPA_INLINE __forceinline
#else
#define VLJEPA_RESTRICT __restrict__
#define VLJEPA_INLINE inline __attribute__((always_inline))
#endif

namespace vljepa {

namespace {

constexpr std::int32_t kLongest = (1 << 15) - 1;

// Weights of RGB in BT.601, in 1 / 2^15.
constexpr std::int32_t weight(double share, double range) {
    return static_cast<std::int32_t>(share * range / 255 * 32768 + 0.5);
}

constexpr std::int32_t kYr = weight(0.299, 219), kYg = weight(0.587, 219), kYb = weight(0.114, 219);
constexpr std::int32_t kUr = -weight(0.169, 224), kUg = -weight(0.331, 224), kUb = weight(0.500, 224);
constexpr std::int32_t kVr = weight(0.500, 224), kVg = -weight(0.419, 224), kVb = -weight(0.081, 224);
constexpr std::int32_t kBlack = (32 << 14) + (1 << 8);
constexpr std::int32_t kNoColour = (256 << 14) + (1 << 8);

VLJEPA_INLINE void from_rgb(const std::uint8_t* VLJEPA_RESTRICT rgb, std::size_t count, std::int16_t* VLJEPA_RESTRICT y,
                            std::int16_t* VLJEPA_RESTRICT u, std::int16_t* VLJEPA_RESTRICT v) {
    for (std::size_t x = 0; x < count; ++x) {
        const std::int32_t r = rgb[3 * x], g = rgb[3 * x + 1], b = rgb[3 * x + 2];
        y[x] = static_cast<std::int16_t>((kYr * r + kYg * g + kYb * b + kBlack) >> 9);
        u[x] = static_cast<std::int16_t>((kUr * r + kUg * g + kUb * b + kNoColour) >> 9);
        v[x] = static_cast<std::int16_t>((kVr * r + kVg * g + kVb * b + kNoColour) >> 9);
    }
}

VLJEPA_INLINE void down(const std::int16_t* VLJEPA_RESTRICT rows, const std::int16_t* VLJEPA_RESTRICT weights,
                        std::size_t size, std::size_t count, std::int32_t start, std::int32_t* VLJEPA_RESTRICT out) {
    for (std::size_t x = 0; x < count; ++x) out[x] = start;
    for (std::size_t j = 0; j < size; ++j, rows += count) {
        const std::int16_t by = weights[j];
        for (std::size_t x = 0; x < count; ++x) out[x] += rows[x] * by;
    }
    for (std::size_t x = 0; x < count; ++x) out[x] >>= 10;
}

VLJEPA_INLINE std::uint8_t level(std::uint32_t sum) {
    const auto value = static_cast<std::int32_t>(sum);
    const std::int32_t most = (1 << 30) - 1;
    return static_cast<std::uint8_t>((value < 0 ? 0 : value > most ? most : value) >> 22);
}

// 32 bits that wrap around: far beyond white libswscale's do, too.
VLJEPA_INLINE std::uint32_t times(std::int32_t a, std::int32_t b) {
    return static_cast<std::uint32_t>(a) * static_cast<std::uint32_t>(b);
}

VLJEPA_INLINE void to_rgb(const std::int32_t* VLJEPA_RESTRICT y, const std::int32_t* VLJEPA_RESTRICT u,
                          const std::int32_t* VLJEPA_RESTRICT v, std::size_t count, const ToRgb& matrix,
                          std::uint8_t* VLJEPA_RESTRICT rgb) {
    const ToRgb by = matrix;
    for (std::size_t x = 0; x < count; ++x) {
        const std::uint32_t base = times(y[x] - by.y_offset, by.y) + (1u << 21);
        rgb[3 * x] = level(base + times(v[x], by.v_to_r));
        rgb[3 * x + 1] = level(base + times(v[x], by.v_to_g) + times(u[x], by.u_to_g));
        rgb[3 * x + 2] = level(base + times(u[x], by.u_to_b));
    }
}

// The three steps, compiled for the processor that `target` names.
#define VLJEPA_ROW_STEPS(name, target)                                                                              \
    struct name {                                                                                                   \
        target static void from(const std::uint8_t* rgb, std::size_t count, std::int16_t* y, std::int16_t* u,       \
                                std::int16_t* v) {                                                                  \
            from_rgb(rgb, count, y, u, v);                                                                          \
        }                                                                                                           \
        target static void sum(const std::int16_t* rows, const std::int16_t* weights, std::size_t size,             \
                               std::size_t count, std::int32_t start, std::int32_t* out) {                          \
            down(rows, weights, size, count, start, out);                                                           \
        }                                                                                                           \
        target static void to(const std::int32_t* y, const std::int32_t* u, const std::int32_t* v,                  \
                              std::size_t count, const ToRgb& matrix, std::uint8_t* rgb) {                          \
            to_rgb(y, u, v, count, matrix, rgb);                                                                    \
        }                                                                                                           \
        static RowSteps steps() { return {from, sum, to}; }                                                         \
    }

VLJEPA_ROW_STEPS(Plain, );
#if defined(__GNUC__) && defined(__x86_64__)
#define VLJEPA_HAS_AVX2
VLJEPA_ROW_STEPS(Avx2, __attribute__((target("avx2"))));
#endif

}  // namespace

void across(const std::int16_t* VLJEPA_RESTRICT samples, const std::int32_t* VLJEPA_RESTRICT first,
            const std::int16_t* VLJEPA_RESTRICT weights, std::size_t blocks, std::size_t count, int shift,
            std::int16_t* VLJEPA_RESTRICT out) {
    const std::size_t size = kBlock * blocks;  // so that vectors of so many leave no rest
    for (std::size_t i = 0; i < count; ++i, weights += size) {
        const std::int16_t* from = samples + first[i];
        std::int32_t sum = 0;
        for (std::size_t j = 0; j < size; ++j) sum += from[j] * weights[j];
        sum >>= shift;
        out[i] = static_cast<std::int16_t>(sum < kLongest ? sum : kLongest);
    }
}

const std::vector<RowSteps>& row_steps() {
    static const std::vector<RowSteps> kSteps = [] {
        std::vector<RowSteps> found{Plain::steps()};
#ifdef VLJEPA_HAS_AVX2
        if (__builtin_cpu_supports("avx2")) found.push_back(Avx2::steps());
#endif
        return found;
    }();
    return kSteps;
}

}  // namespace vljepa
