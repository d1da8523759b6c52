#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "vljepa/error.hpp"
#include "vljepa/head.hpp"

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void probabilities_are_the_logistic_of_scores() {
    for (const std::size_t width : {std::size_t{1}, std::size_t{7}, std::size_t{2688}}) {
        const std::vector<float> weights = random_units(3, width, 1);
        const std::vector<float> rows = random_units(5, width, 2);
        const std::vector<float> bias = {0.5F, -2.0F, 0.0F};
        const vljepa::Head head(weights, bias, 18.5, -7.25);
        CHECK(head.labels() == 3 && head.width() == width);
        for (std::size_t t = 0; t < 5; ++t) {
            std::vector<double> found(3);
            head.probabilities(rows.data() + t * width, found.data());
            for (std::size_t k = 0; k < 3; ++k) {
                long double score = bias[k];
                for (std::size_t i = 0; i < width; ++i) {
                    score += static_cast<long double>(weights[k * width + i]) * rows[t * width + i];
                }
                CHECK_NEAR(found[k], static_cast<double>(1.0L / (1.0L + std::exp(-(18.5L * score - 7.25L)))), 1e-12);
            }
        }
    }
}

void extreme_scores_give_0_and_1() {
    const vljepa::Head head({3e38F, -3e38F}, {0.0F, 0.0F}, 1e6, 0.0);
    std::vector<double> found(2);
    const float one = 1.0F;
    head.probabilities(&one, found.data());
    CHECK(found[0] == 1.0 && found[1] == 0.0);
}

void heads_that_do_not_fit_are_refused() {
    CHECK_THROWS(vljepa::Head({}, {}, 1, 0), vljepa::InputError);
    CHECK_THROWS(vljepa::Head({1, 2, 3}, {1, 2}, 1, 0), vljepa::InputError);
    CHECK_THROWS(vljepa::Head({1, static_cast<float>(kNaN)}, {1}, 1, 0), vljepa::InputError);
    CHECK_THROWS(vljepa::Head({1, 2}, {1}, -1, 0), vljepa::InputError);
    CHECK_THROWS(vljepa::Head({1, 2}, {1}, 1, kNaN), vljepa::InputError);
}

void a_noisy_hop_neither_begins_nor_ends_it() {
    vljepa::Hysteresis state({0.6, 0.4, 0.5});
    for (const double value : {0.9, 0.1, kNaN, 0.9, 0.3}) CHECK(!state.push(value, 0.0, 0.0));
    state.reset();
    std::vector<vljepa::Occurrence> told;
    double time = 10.0;
    for (const double value : {0.7, 0.5, 0.9, 0.1, 0.5, 0.1, 0.1, 0.1}) {
        if (const auto one = state.push(value, time, time - 1.0)) told.push_back(*one);
        time += 0.25;
    }
    CHECK(told.size() == 2 && !told[0].end && told[0].start == 9.0 && told[0].peak == 0.9);
    CHECK(told[1].end == 10.0 && told[1].start == 9.0 && told[1].peak == 0.9);
    CHECK(!state.is_seen() && !state.finish());
}

void options_that_make_no_sense_are_refused() {
    CHECK_THROWS(vljepa::Hysteresis({1.5, 0.4, 0.5}), vljepa::InputError);
    CHECK_THROWS(vljepa::Hysteresis({0.6, 0.7, 0.5}), vljepa::InputError);
    CHECK_THROWS(vljepa::Hysteresis({0.6, kNaN, 0.5}), vljepa::InputError);
    CHECK_THROWS(vljepa::Hysteresis({0.6, 0.4, -1.0}), vljepa::InputError);
}

}  // namespace

int main() {
    probabilities_are_the_logistic_of_scores();
    extreme_scores_give_0_and_1();
    heads_that_do_not_fit_are_refused();
    a_noisy_hop_neither_begins_nor_ends_it();
    options_that_make_no_sense_are_refused();
}
