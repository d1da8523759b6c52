#pragma once

#include <cstddef>

namespace vljepa {

// Sums are in double, over sixteen lanes that are added up at the end, with AVX2 where it is. So they are the same bits
// whichever it is, and none waits for the sum before it.

/// Sum of squares.
double squared_norm(const float* x, std::size_t width);

/// Whether no element is infinite or NaN.
bool all_finite(const float* x, std::size_t width);

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

/// `sum` = `a` + `b`, element by element.
void sum_of_two(double* sum, const float* a, const float* b, std::size_t width);

/// `mean` of `count` rows that follow each other, summed in double and rounded once.
void mean_of(float* mean, const float* rows, std::size_t count, std::size_t width);

/// One more embedding in a mean, of which it is `share`: `mean` += (`x` - `mean`) * `share`. How much that adds to the sum
/// of squared distances to the mean.
double join_mean(double* mean, const float* x, double share, std::size_t width);
/// The same with `x` in place of `old`, which is overwritten.
double replace_in_mean(double* mean, float* old, const float* x, double share, std::size_t width);

/// Ward's cost of joining clusters of n and k members whose means are sqrt(distance2) apart: the growth of the
/// within-cluster sum of squares.
inline double ward_cost(double n, double k, double distance2) { return n * k / (n + k) * distance2; }

}  // namespace vljepa
