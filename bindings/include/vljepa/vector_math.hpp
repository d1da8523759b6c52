#pragma once

#include <cstddef>

namespace vljepa {

/// Sum of squares in double. Finite exactly when every element is, since a float's square always fits a double.
inline double squared_norm(const float* x, std::size_t width) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i < width; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return sum;
}

/// Product of two rows of floats, summed in double.
inline double dot(const float* a, const float* b, std::size_t width) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i < width; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
}

/// Squared distance between `a * scale_a` and `b * scale_b`.
template <typename B>
double squared_distance(const double* a, double scale_a, const B* b, double scale_b, std::size_t width) {
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = 0; i < width; ++i) {
        const double d = a[i] * scale_a - b[i] * scale_b;
        sum += d * d;
    }
    return sum;
}

/// Ward's cost of joining clusters of n and k members whose means are sqrt(distance2) apart: the growth of the
/// within-cluster sum of squares.
inline double ward_cost(double n, double k, double distance2) { return n * k / (n + k) * distance2; }

}  // namespace vljepa
