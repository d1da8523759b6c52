#include <limits>
#include <vector>

#include "check.hpp"
#include "vljepa/error.hpp"
#include "vljepa/sliding_stats.hpp"

namespace {

// Variance of rows [first, last) summed over dimensions, in long double.
double variance(const std::vector<float>& rows, std::size_t width, std::size_t first, std::size_t last) {
    long double total = 0.0L;
    const auto count = static_cast<long double>(last - first);
    for (std::size_t i = 0; i < width; ++i) {
        long double mean = 0.0L;
        for (std::size_t t = first; t < last; ++t) mean += rows[t * width + i];
        mean /= count;
        for (std::size_t t = first; t < last; ++t) {
            const long double d = rows[t * width + i] - mean;
            total += d * d;
        }
    }
    return static_cast<double>(total / count);
}

void matches_the_definition() {
    for (const std::size_t width : {std::size_t{1}, std::size_t{5}, std::size_t{384}}) {
        for (const std::size_t window : {std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
            const std::size_t count = 3 * window + 2;
            const std::vector<float> rows = random_units(count, width, 1);
            vljepa::SlidingStats stats(width, window);
            CHECK(stats.variance() == 0.0);
            for (std::size_t t = 0; t < count; ++t) {
                stats.push(rows.data() + t * width);
                const std::size_t first = t + 1 > window ? t + 1 - window : 0;
                CHECK(stats.count() == t + 1 - first);
                CHECK_NEAR(stats.variance(), variance(rows, width, first, t + 1), 1e-12);
            }
        }
    }
}

void has_no_drift() {
    const std::size_t width = 4;
    const std::size_t window = 8;
    const std::size_t pushes = 1000000;
    const std::vector<float> rows = random_units(window, width, 2);
    vljepa::SlidingStats stats(width, window);
    const std::vector<float> huge(width, 1e6F);
    for (std::size_t t = 0; t < pushes; ++t) {
        stats.push(t % 1000 == 17 ? huge.data() : rows.data() + (t % window) * width);
    }
    for (std::size_t t = 0; t < window; ++t) stats.push(rows.data() + t * width);
    CHECK_NEAR(stats.variance(), variance(rows, width, 0, window), 1e-12);
}

void clear_forgets() {
    const std::vector<float> rows = random_units(5, 3, 3);
    vljepa::SlidingStats stats(3, 4);
    for (std::size_t t = 0; t < 5; ++t) stats.push(rows.data() + t * 3);
    stats.clear();
    CHECK(stats.count() == 0 && stats.variance() == 0.0 && stats.mean()[0] == 0.0);
    stats.push(rows.data());
    CHECK(stats.variance() == 0.0 && stats.mean()[1] == static_cast<double>(rows[1]));
}

void refuses() {
    CHECK_THROWS(vljepa::SlidingStats(0, 1), vljepa::InputError);
    CHECK_THROWS(vljepa::SlidingStats(1, 0), vljepa::InputError);
    vljepa::SlidingStats stats(2, 3);
    const float broken[] = {0.0F, std::numeric_limits<float>::quiet_NaN()};
    CHECK_THROWS(stats.push(broken), vljepa::InputError);
    CHECK(stats.count() == 0);
}

}  // namespace

int main() {
    matches_the_definition();
    has_no_drift();
    clear_forgets();
    refuses();
}
