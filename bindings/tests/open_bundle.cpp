// Opens bundles, for tests/bundle/test_in_cpp.py: what Python refuses must be refused here, for the same reason.
//
// In: a path on each line. Out, for each: "ok NAME DIGEST", or the file that is refused, a tab, and the message.

#include <iostream>
#include <string>

#include "vljepa/bundle.hpp"
#include "vljepa/error.hpp"

int main() {
    std::string path;
    while (std::getline(std::cin, path)) {
        try {
            const vljepa::Bundle bundle = vljepa::Bundle::open(path);
            std::cout << "ok\t" << bundle.manifest().name << "\t" << bundle.digest() << std::endl;
        } catch (const vljepa::BundleError& error) {
            std::cout << error.file() << "\t" << error.what() << std::endl;
        }
    }
}
