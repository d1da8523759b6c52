#include "vljepa/pool.hpp"

#include <limits>
#include <vector>

#include "check.hpp"
#include "vljepa/error.hpp"

namespace {

// Mean of rows [first, last) of one dimension, in long double, rounded once.
float mean(const std::vector<float>& rows, std::size_t width, std::size_t i, std::size_t first, std::size_t last) {
    long double sum = 0.0L;
    for (std::size_t t = first; t < last; ++t) sum += rows[t * width + i];
    return static_cast<float>(sum / static_cast<long double>(last - first));
}

void is_the_mean_of_the_last_hops() {
    for (const std::size_t width : {std::size_t{1}, std::size_t{5}, std::size_t{37}, std::size_t{384}}) {
        for (const std::size_t hops : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{8}}) {
            const std::size_t count = 3 * hops + 2;
            const std::vector<float> rows = random_units(count, width, 1);
            vljepa::Pool pool(width, hops);
            for (std::size_t t = 0; t < count; ++t) {
                const float* pooled = pool.push(rows.data() + t * width);
                const std::size_t first = t + 1 > hops ? t + 1 - hops : 0;
                for (std::size_t i = 0; i < width; ++i) CHECK(pooled[i] == mean(rows, width, i, first, t + 1));
            }
        }
    }
}

void two_of_the_largest_have_a_mean() {
    const float largest = std::numeric_limits<float>::max();
    vljepa::Pool pool(1, 2);
    pool.push(&largest);
    CHECK(*pool.push(&largest) == largest);
}

void clear_forgets() {
    const std::vector<float> rows = random_units(5, 3, 3);
    vljepa::Pool pool(3, 3);
    for (std::size_t t = 0; t < 4; ++t) pool.push(rows.data() + t * 3);
    pool.clear();
    const float* pooled = pool.push(rows.data() + 4 * 3);
    for (std::size_t i = 0; i < 3; ++i) CHECK(pooled[i] == rows[4 * 3 + i]);
}

void refuses_what_is_empty() {
    CHECK_THROWS(vljepa::Pool(0, 1), vljepa::InputError);
    CHECK_THROWS(vljepa::Pool(1, 0), vljepa::InputError);
}

}  // namespace

int main() {
    is_the_mean_of_the_last_hops();
    two_of_the_largest_have_a_mean();
    clear_forgets();
    refuses_what_is_empty();
}
