#include "vljepa/vector_math.hpp"

#include <algorithm>

#if defined(_MSC_VER)
#define VLJEPA_INLINE __forceinline
#define VLJEPA_INLINED
#else
#define VLJEPA_INLINE inline __attribute__((always_inline))
#define VLJEPA_INLINED __attribute__((always_inline))
#endif

namespace vljepa {

namespace {

constexpr std::size_t kLanes = 16;

// The sum of term(0) to term(width - 1), of which compilers make vectors: each lane adds every 16th.
template <typename Term>
VLJEPA_INLINE double sum_of(std::size_t width, Term term) {
    double lanes[kLanes] = {};
    const std::size_t blocked = width - width % kLanes;
    for (std::size_t i = 0; i < blocked; i += kLanes) {
        for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += term(i + j);
    }
    for (std::size_t i = blocked; i < width; ++i) lanes[i - blocked] += term(i);
    double sum = 0.0;
    for (std::size_t j = 0; j < kLanes; ++j) sum += lanes[j];
    return sum;
}

VLJEPA_INLINE double product_of(const float* a, const float* b, std::size_t width) {
    return sum_of(width, [=](std::size_t i) VLJEPA_INLINED { return static_cast<double>(a[i]) * b[i]; });
}

template <typename A, typename B>
VLJEPA_INLINE double distance_of(const A* a, double scale_a, const B* b, double scale_b, std::size_t width) {
    return sum_of(width, [=](std::size_t i) VLJEPA_INLINED {
        const double d = a[i] * scale_a - b[i] * scale_b;
        return d * d;
    });
}

template <typename X>
VLJEPA_INLINE void add(double* __restrict sum, const X* __restrict x, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) sum[i] += x[i];
}

VLJEPA_INLINE void add_two(double* __restrict sum, const float* __restrict a, const float* __restrict b,
                           std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) sum[i] = static_cast<double>(a[i]) + b[i];
}

// Halves of floats are exact and their sum rounds once, as in double, so nothing has to be converted.
VLJEPA_INLINE void mean_of_two(float* __restrict mean, const float* __restrict rows, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) mean[i] = rows[i] * 0.5F + rows[width + i] * 0.5F;
}

VLJEPA_INLINE void mean_of_rows(float* __restrict mean, const float* __restrict rows, std::size_t count,
                                std::size_t width) {
    if (count == 2) return mean_of_two(mean, rows, width);
    const auto n = static_cast<double>(count);
    for (std::size_t i = 0; i < width; i += kLanes) {
        const std::size_t lanes = std::min(kLanes, width - i);
        double sum[kLanes] = {};
        for (std::size_t row = 0; row < count; ++row) {
            for (std::size_t j = 0; j < lanes; ++j) sum[j] += rows[row * width + i + j];
        }
        for (std::size_t j = 0; j < lanes; ++j) mean[i + j] = static_cast<float>(sum[j] / n);
    }
}

// x - x is 0 where x is finite, and NaN where it isn't; a NaN stays in the sum.
VLJEPA_INLINE bool finite_all(const float* x, std::size_t width) {
    constexpr std::size_t kFloats = 2 * kLanes;
    float lanes[kFloats] = {};
    const std::size_t blocked = width - width % kFloats;
    for (std::size_t i = 0; i < blocked; i += kFloats) {
        for (std::size_t j = 0; j < kFloats; ++j) lanes[j] += x[i + j] - x[i + j];
    }
    for (std::size_t i = blocked; i < width; ++i) lanes[i - blocked] += x[i] - x[i];
    return std::all_of(lanes, lanes + kFloats, [](float lane) { return lane == 0.0F; });
}

VLJEPA_INLINE double join(double* __restrict mean, const float* __restrict x, double share, std::size_t width) {
    return sum_of(width, [=](std::size_t i) VLJEPA_INLINED {
        const double before = x[i] - mean[i];
        mean[i] += before * share;
        return before * (x[i] - mean[i]);
    });
}

VLJEPA_INLINE double replace(double* __restrict mean, float* __restrict old, const float* __restrict x, double share,
                             std::size_t width) {
    return sum_of(width, [=](std::size_t i) VLJEPA_INLINED {
        const double step = static_cast<double>(x[i]) - old[i];
        const double from_old = old[i] - mean[i];
        mean[i] += step * share;
        old[i] = x[i];
        return step * ((x[i] - mean[i]) + from_old);
    });
}

// The loops compiled for one kind of processor.
struct Loops {
    double (*norm)(const float*, std::size_t);
    double (*product)(const float*, const float*, std::size_t);
    double (*distance)(const double*, double, const double*, double, std::size_t);
    double (*distance_to_floats)(const double*, double, const float*, double, std::size_t);
    double (*between_floats)(const float*, const float*, std::size_t);
    void (*add)(double*, const double*, std::size_t);
    void (*add_floats)(double*, const float*, std::size_t);
    void (*sum)(double*, const float*, const float*, std::size_t);
    void (*mean)(float*, const float*, std::size_t, std::size_t);
    bool (*finite)(const float*, std::size_t);
    double (*join)(double*, const float*, double, std::size_t);
    double (*replace)(double*, float*, const float*, double, std::size_t);
};

#define VLJEPA_LOOPS(name, target)                                                                                    \
    struct name {                                                                                                     \
        target static double norm(const float* x, std::size_t width) { return product_of(x, x, width); }              \
        target static double product(const float* a, const float* b, std::size_t width) {                             \
            return product_of(a, b, width);                                                                           \
        }                                                                                                             \
        target static double distance(const double* a, double p, const double* b, double q, std::size_t width) {      \
            return distance_of(a, p, b, q, width);                                                                    \
        }                                                                                                             \
        target static double to_floats(const double* a, double p, const float* b, double q, std::size_t width) {      \
            return distance_of(a, p, b, q, width);                                                                    \
        }                                                                                                             \
        target static double floats_apart(const float* a, const float* b, std::size_t width) {                        \
            return distance_of(a, 1.0, b, 1.0, width);                                                                \
        }                                                                                                             \
        target static void doubles(double* sum, const double* x, std::size_t width) { vljepa::add(sum, x, width); }   \
        target static void floats(double* sum, const float* x, std::size_t width) { vljepa::add(sum, x, width); }     \
        target static void sum(double* to, const float* a, const float* b, std::size_t width) {                       \
            add_two(to, a, b, width);                                                                                 \
        }                                                                                                             \
        target static void mean(float* to, const float* rows, std::size_t count, std::size_t width) {                 \
            mean_of_rows(to, rows, count, width);                                                                     \
        }                                                                                                             \
        target static bool finite(const float* x, std::size_t width) { return finite_all(x, width); }                 \
        target static double joined(double* mean, const float* x, double share, std::size_t width) {                  \
            return vljepa::join(mean, x, share, width);                                                               \
        }                                                                                                             \
        target static double replaced(double* mean, float* old, const float* x, double share, std::size_t width) {    \
            return vljepa::replace(mean, old, x, share, width);                                                       \
        }                                                                                                             \
        static Loops loops() {                                                                                        \
            return {norm, product, distance, to_floats, floats_apart, doubles, floats,                                \
                    sum,  mean,    finite,   joined,   replaced};                                                     \
        }                                                                                                             \
    }

VLJEPA_LOOPS(Plain, );
#if defined(__GNUC__) && defined(__x86_64__)
VLJEPA_LOOPS(Avx2, __attribute__((target("avx2"))));
#endif

const Loops& loops() {
#if defined(__GNUC__) && defined(__x86_64__)
    static const Loops kLoops = __builtin_cpu_supports("avx2") ? Avx2::loops() : Plain::loops();
#else
    static const Loops kLoops = Plain::loops();
#endif
    return kLoops;
}

}  // namespace

double squared_norm(const float* x, std::size_t width) { return loops().norm(x, width); }

bool all_finite(const float* x, std::size_t width) { return loops().finite(x, width); }

double dot(const float* a, const float* b, std::size_t width) { return loops().product(a, b, width); }

double squared_distance(const double* a, double scale_a, const double* b, double scale_b, std::size_t width) {
    return loops().distance(a, scale_a, b, scale_b, width);
}

double squared_distance(const double* a, double scale_a, const float* b, double scale_b, std::size_t width) {
    return loops().distance_to_floats(a, scale_a, b, scale_b, width);
}

double squared_distance(const float* a, const float* b, std::size_t width) { return loops().between_floats(a, b, width); }

void add_to(double* sum, const float* x, std::size_t width) { loops().add_floats(sum, x, width); }

void add_to(double* sum, const double* x, std::size_t width) { loops().add(sum, x, width); }

void sum_of_two(double* sum, const float* a, const float* b, std::size_t width) { loops().sum(sum, a, b, width); }

void mean_of(float* mean, const float* rows, std::size_t count, std::size_t width) {
    loops().mean(mean, rows, count, width);
}

double join_mean(double* mean, const float* x, double share, std::size_t width) {
    return loops().join(mean, x, share, width);
}

double replace_in_mean(double* mean, float* old, const float* x, double share, std::size_t width) {
    return loops().replace(mean, old, x, share, width);
}

}  // namespace vljepa
