#pragma once

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

// A failed check names its place and ends the test.
#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            std::fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                               \
        }                                                                               \
    } while (false)

#define CHECK_NEAR(a, b, tolerance) CHECK(std::abs((a) - (b)) <= (tolerance))

#define CHECK_THROWS(expression, error) \
    do {                                \
        bool thrown = false;            \
        try {                           \
            expression;                 \
        } catch (const error&) {        \
            thrown = true;              \
        }                               \
        CHECK(thrown);                  \
    } while (false)

// `count` unit vectors in rows.
inline std::vector<float> random_units(std::size_t count, std::size_t width, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> rows(count * width);
    for (std::size_t t = 0; t < count; ++t) {
        float* row = rows.data() + t * width;
        double squares = 0.0;
        for (std::size_t i = 0; i < width; ++i) {
            row[i] = normal(generator);
            squares += static_cast<double>(row[i]) * row[i];
        }
        for (std::size_t i = 0; i < width; ++i) row[i] = static_cast<float>(row[i] / std::sqrt(squares));
    }
    return rows;
}
