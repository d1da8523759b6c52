#pragma once

#include <cstddef>

namespace vljepa {

// Sums are in double, over sixteen lanes that are added up at the end, with AVX2 where it is. So they are the same bits
// whichever it is, and none waits for the sum before it.

/// Sum of squares. Finite exactly when every element is, since a float's square always fits a double.
double squared_norm(const float* x, std::size_t width);

/// Product of two rows of floats.
double dot(const float* a, const float* b, std::size_t width);

/// Squared distance between `a * scale_a` and `b * scale_b`.
double squared_distance(const double* a, double scale_a, const double* b, double scale_b, std::size_t width);
double squared_distance(const double* a, double scale_a, const float* b, double scale_b, std::size_t width);
/// Squared distance between `a` and `b`.
double squared_distance(const float* a, const float* b, std::size_t width);

/// `sum` += `x`, element by element.
void add_to(double* sum, const float* x, std::size_t width);
void add_to(double* sum, const double* x, std::size_t width);

/// Ward's cost of joining clusters of n and k members whose means are sqrt(distance2) apart: the growth of the
/// within-cluster sum of squares.
inline double ward_cost(double n, double k, double distance2) { return n * k / (n + k) * distance2; }

}  // namespace vljepa
