#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "vljepa/error.hpp"
#include "vljepa/policy.hpp"

namespace {

using vljepa::Decision;
using vljepa::Policy;
using vljepa::Segment;

constexpr double kHop = 0.25;
const std::vector<float> kA = {1.0F, 0.0F};
const std::vector<float> kB = {0.0F, 1.0F};

// Pushes a stream written as letters, one hop each, and flushes it and resets the policy; returns the segments.
std::vector<Segment> segments(Policy& policy, const std::string& letters) {
    std::vector<Segment> out;
    double time = 0.0;
    for (const char letter : letters) {
        const std::vector<float>& embedding = letter == 'A' ? kA : kB;
        Decision decision = policy.push(embedding.data(), embedding.size(), time);
        CHECK(decision.opened == (decision.closed.has_value() || time == 0.0));
        CHECK(decision.start <= time);
        if (decision.closed) out.push_back(*decision.closed);
        time += kHop;
    }
    Decision last = policy.flush(time);
    CHECK(!last.opened && last.closed.has_value());
    out.push_back(*last.closed);
    CHECK(!policy.flush(time).closed.has_value());
    policy.reset();
    for (std::size_t i = 1; i < out.size(); ++i) CHECK(out[i].start == out[i - 1].end);
    return out;
}

void running_ward_splits_where_the_stream_changes() {
    vljepa::RunningWard policy(2, {0.5, 1, 0.0, std::numeric_limits<double>::infinity()});
    const std::vector<Segment> out = segments(policy, "AAAABBBB");
    CHECK(out.size() == 2);
    CHECK(out[0].start == 0.0 && out[0].end == 1.0 && out[0].count == 4 && out[0].mean == kA);
    CHECK(out[1].start == 1.0 && out[1].end == 2.0 && out[1].count == 4 && out[1].mean == kB);
    CHECK_NEAR(out[0].score, 4.0 / 5.0 * 2.0, 1e-12);
    CHECK(out[1].score == 0.0);
}

void running_ward_forgives_a_noisy_hop() {
    vljepa::RunningWard strict(2, {0.5, 1, 0.0, std::numeric_limits<double>::infinity()});
    CHECK(segments(strict, "AAAABAAA").size() == 3);
    vljepa::RunningWard patient(2, {0.5, 1, 0.5, std::numeric_limits<double>::infinity()});
    CHECK(segments(patient, "AAAABAAA").size() == 1);
    // A change that lasts is dated to where it began.
    const std::vector<Segment> out = segments(patient, "AAAABBBB");
    CHECK(out.size() == 2 && out[0].end == 1.0 && out[1].count == 4);
    // One that the stream's end leaves undecided belongs to the open segment.
    CHECK(segments(patient, "AAAAB").size() == 1);
}

// A hard cut from A to B at `cut` seconds, seen through windows of one second that hold both for a second: their
// embeddings are like neither. Returns the number of segments that opened, and the last decision that opened one.
int openings(double end, double cut, bool restarts, Decision& last) {
    const std::vector<std::vector<float>> between = {{-1.0F, 0.0F}, {0.0F, -1.0F}, {-1.0F, 0.0F}, {0.0F, -1.0F}};
    vljepa::RunningWard policy(2, {0.3, 1, 0.5, std::numeric_limits<double>::infinity()});
    int count = 0;
    for (double time = 0.0; time < end; time += kHop) {
        const bool mixed = !restarts && time >= cut && time - 1.0 < cut;
        const std::vector<float>& embedding =
            mixed ? between[static_cast<std::size_t>((time - cut) / kHop)] : (time < cut ? kA : kB);
        const double since = std::max(restarts && time >= cut ? cut : 0.0, time - 1.0);
        Decision decision = policy.push(embedding.data(), 2, time, since);
        if (decision.opened) {
            ++count;
            last = decision;
        }
    }
    CHECK(policy.flush(end).closed->mean == kB);
    return count;
}

void running_ward_makes_two_segments_of_a_hard_cut() {
    Decision last;
    CHECK(openings(8.0, 4.0, false, last) == 2);
    CHECK(last.start == 4.0 && last.since == 3.75);
    CHECK(openings(8.0, 4.0, true, last) == 2);
    CHECK(last.start == 4.0 && last.since == 4.0);
}

void running_ward_ends_long_segments() {
    vljepa::RunningWard policy(2, {0.5, 1, 0.5, 1.0});
    const std::vector<Segment> out = segments(policy, "AAAAAAAAA");
    CHECK(out.size() == 3 && out[0].end == 1.0 && out[1].end == 2.0 && out[2].count == 1);
    const std::vector<Segment> pending = segments(policy, "AAABB");
    CHECK(pending.size() == 2 && pending[0].end == 3 * kHop && pending[1].count == 2);
}

void local_variance_splits_once_a_change() {
    vljepa::LocalVariance policy(2, {0.2, 4, 1, 0.0});
    const std::vector<Segment> out = segments(policy, "AAAAAABBBBBB");
    CHECK(out.size() == 2 && out[0].end == 6 * kHop);
    CHECK_NEAR(out[0].score, 0.375, 1e-12);  // three A and one B: 2 * 3/16
    CHECK(segments(policy, "AAAAAAAA").size() == 1);
}

void uniform_keeps_the_grid() {
    // Hops of 0.25 s: due at 0.6, 1.2 and 1.8 is seen at 0.75, 1.25 and, 0.05 s early, 1.75.
    vljepa::Uniform policy(2, 0.6);
    const std::vector<Segment> out = segments(policy, "AAAAAAAAA");
    CHECK(out.size() == 4);
    CHECK(out[0].end == 0.75 && out[1].end == 1.25 && out[2].end == 1.75);
    // After a gap the grid goes on; the periods without an embedding make no segments.
    CHECK(policy.push(kA.data(), 2, 10.0).opened);
    CHECK(policy.push(kA.data(), 2, 20.0).opened);
    CHECK(!policy.push(kA.data(), 2, 20.1).opened);
    CHECK(policy.push(kA.data(), 2, 20.2).opened);
}

// Whether a change splits at the second hop after it, which comes `early` seconds before 0.5 s have passed.
bool splits_after_two_hops(double early) {
    vljepa::RunningWard policy(2, {0.5, 1, 0.5, std::numeric_limits<double>::infinity()});
    for (const double time : {0.0, 0.25, 0.5, 0.75}) policy.push(kA.data(), 2, time);
    CHECK(!policy.push(kB.data(), 2, 1.0).opened);
    CHECK(!policy.push(kB.data(), 2, 1.25).opened);
    return policy.push(kB.data(), 2, 1.5 - early).opened;
}

void durations_forgive_a_share_of_a_hop() {
    CHECK(splits_after_two_hops(0.0));
    CHECK(splits_after_two_hops(0.003));
    CHECK(splits_after_two_hops(0.04));
    CHECK(!splits_after_two_hops(0.1));
    // A long hop forgives no more than a share of the duration: a change that was seen once has not lasted.
    vljepa::RunningWard policy(2, {0.5, 1, 0.5, std::numeric_limits<double>::infinity()});
    policy.push(kA.data(), 2, 0.0);
    CHECK(!policy.push(kB.data(), 2, 10.0).opened);
    CHECK(policy.push(kB.data(), 2, 20.0).opened);

    vljepa::Uniform uniform(2, 0.5);
    uniform.push(kA.data(), 2, 0.0);
    CHECK(!uniform.push(kA.data(), 2, 0.25).opened);
    CHECK(uniform.push(kA.data(), 2, 0.497).opened);
    CHECK(!uniform.push(kA.data(), 2, 0.75).opened);
    CHECK(uniform.push(kA.data(), 2, 1.003).opened);
    vljepa::LocalVariance variance(2, {0.1, 4, 1, 0.5});
    variance.push(kA.data(), 2, 0.0);
    CHECK(!variance.push(kB.data(), 2, 0.25).opened);
    CHECK(variance.push(kB.data(), 2, 0.497).opened);
}

void refuses_and_stays_usable() {
    vljepa::RunningWard policy(2, {});
    const float broken[] = {std::numeric_limits<float>::quiet_NaN(), 0.0F};
    CHECK_THROWS(policy.push(broken, 2, 0.0), vljepa::InputError);
    CHECK_THROWS(policy.push(kA.data(), 1, 0.0), vljepa::InputError);
    CHECK_THROWS(policy.push(kA.data(), 2, std::numeric_limits<double>::infinity()), vljepa::InputError);
    CHECK(policy.push(kA.data(), 2, 1.0).opened);
    CHECK_THROWS(policy.push(kA.data(), 2, 1.0), vljepa::InputError);
    CHECK_THROWS(policy.push(kA.data(), 2, 2.0, 2.5), vljepa::InputError);
    CHECK_THROWS(policy.flush(0.5), vljepa::InputError);
    CHECK(policy.flush(1.5).closed->count == 1);
    CHECK_THROWS(policy.push(kA.data(), 2, 1.4), vljepa::InputError);
    CHECK(policy.push(kA.data(), 2, 1.5).opened);
    policy.reset();
    CHECK(policy.push(kA.data(), 2, 0.0).opened);

    CHECK_THROWS(vljepa::Uniform(2, 0.0), vljepa::InputError);
    CHECK_THROWS(vljepa::Uniform(0, 1.0), vljepa::InputError);
    CHECK_THROWS(vljepa::LocalVariance(2, {0.1, 1, 2, 0.0}), vljepa::InputError);
    CHECK_THROWS(vljepa::RunningWard(2, {-0.1, 1, 0.0, 1.0}), vljepa::InputError);
    CHECK_THROWS(vljepa::RunningWard(2, {0.1, 1, 1.0, 1.0}), vljepa::InputError);
}

}  // namespace

int main() {
    running_ward_splits_where_the_stream_changes();
    running_ward_forgives_a_noisy_hop();
    running_ward_makes_two_segments_of_a_hard_cut();
    running_ward_ends_long_segments();
    local_variance_splits_once_a_change();
    uniform_keeps_the_grid();
    durations_forgive_a_share_of_a_hop();
    refuses_and_stays_usable();
}
