// The same of the C++ classes, which the static library has.
#include <cstdio>

#include <vljepa.h>
#include <vljepa/bundle.hpp>
#include <vljepa/error.hpp>
#include <vljepa/policy.hpp>

int main() {
    vljepa::Uniform policy(2, 1.0);
    const float embedding[2] = {1.0f, 0.0f};
    if (!policy.push(embedding, 2, 0.0).opened) return 1;
    try {
        vljepa::Bundle::open("/nowhere");
        return 2;
    } catch (const vljepa::BundleError&) {
    }
    std::printf("%s\n", vljepa_version());
}
