// Folders of TensorRT engines: which plan stands for a graph, and what is refused. With an argument, the folder that Python's
// tests wrote: prints the plan of the graph "a graph".

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "bundle/sha256.hpp"
#include "check.hpp"
#include "engine/plans.hpp"
#include "vljepa/error.hpp"

namespace {

const vljepa::GpuPlatform kHere{"Orin", "8.7", 16, "10.3.0"};

std::string digest(const std::string& bytes) {
    vljepa::Sha256 made;
    made.add(bytes.data(), bytes.size());
    return made.hex();
}

void write(const std::filesystem::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

std::string manifest(const std::string& file) {
    return R"({"platform": {"gpu": "Orin", "compute_capability": "8.7", "multiprocessors": 16, "tensorrt": "10.3.0.26"},
               "plans": {"graphs/a.onnx": {"file": ")" + file + R"(", "sha256": ")" + digest("a plan") +
           R"(", "source_sha256": ")" + digest("a graph") + R"("}}})";
}

// What an EngineError says; empty where there is none.
template <typename Call>
std::string refusal(const Call& call) {
    try {
        call();
    } catch (const vljepa::EngineError& error) {
        return error.what();
    }
    return "";
}

bool says(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) {
        std::puts(vljepa::PlanFolder(argv[1]).plan("a graph", "a", kHere).c_str());
        return 0;
    }
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("vljepa-plans-" + std::to_string(std::random_device{}()));
    std::filesystem::create_directory(folder);
    const auto opened = [&] { return vljepa::PlanFolder(folder.string()); };
    CHECK(says(refusal(opened), "is no folder of TensorRT engines; to fix it, run: vljepa build BUNDLE --out "));
    write(folder / "a-0123.plan", "a plan");
    write(folder / "engines.json", manifest("a-0123.plan"));
    CHECK(opened().plan("a graph", "a", kHere) == "a plan");

    const auto asked = [&](const std::string& model, vljepa::GpuPlatform here) {
        return refusal([&] { opened().plan(model, "predictor", here); });
    };
    CHECK(says(asked("another", kHere), "predictor: the engines in "));
    CHECK(says(asked("another", kHere), "don't fit: the bundle is another, not the one they were built from; to fix it"));
    CHECK(says(asked("a graph", {"Thor", "11.0", 20, "10.3.1"}),
               "the GPU is Thor, not Orin; its compute capability is 11.0, not 8.7; its number of multiprocessors is 20, not 16; "
               "TensorRT is 10.3.1, not 10.3.0; to fix it"));
    write(folder / "a-0123.plan", "a plam");
    CHECK(says(asked("a graph", kHere), "a-0123.plan was altered"));
    std::filesystem::remove(folder / "a-0123.plan");
    CHECK(says(asked("a graph", kHere), "a-0123.plan can't be read"));

    for (const char* const name : {"../a.plan", "/etc/a.plan", ".plan", ".a.plan", "a.so", ""}) {
        write(folder / "engines.json", manifest(name));
        CHECK(says(refusal(opened), "a plan must be a file of the folder"));
    }
    for (const char* const text : {"{", "[]", "{}", R"({"platform": {}, "plans": {}})"}) {
        write(folder / "engines.json", text);
        CHECK(says(refusal(opened), "engines.json is damaged ("));
    }
    std::filesystem::remove_all(folder);
}
