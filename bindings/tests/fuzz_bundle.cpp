// What a bundle's files hold, from bytes that nobody vouches for: whatever they are, the reader takes them or throws what it
// says that it throws. The first byte of an input says what the others are.
//
// With Clang and -DVLJEPA_FUZZ=ON it is a target of libFuzzer: `fuzz_bundle CORPUS`. Else it has a driver of its own, which
// damages good files at random: `fuzz_bundle SECONDS [SEED]`.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

#include "bundle/onnx_bytes.hpp"
#include "stand_in.hpp"
#include "text/npy.hpp"
#include "text/tokenizer.hpp"
#include "vljepa/bundle.hpp"
#include "vljepa/error.hpp"
#include "vljepa/manifest.hpp"

namespace {

namespace fs = std::filesystem;

enum Kind : std::uint8_t { kZip, kManifest, kOnnx, kNpy, kNpz, kTokenizer, kDetokenizer, kKinds };

const fs::path& scratch() {
    static const fs::path kFolder = [] {
        const fs::path folder = fs::temp_directory_path() /
                                ("vljepa-fuzz-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
        fs::create_directories(folder);
        return folder;
    }();
    return kFolder;
}

std::string written(const char* name, const std::string& bytes) {
    const fs::path path = scratch() / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
}

void read(Kind kind, const std::string& bytes) {
    switch (kind) {
        case kZip: {
            const vljepa::Bundle bundle = vljepa::Bundle::open(written("bundle.vljepa", bytes));
            for (const auto& [name, entry] : bundle.manifest().entries()) bundle.read(name);
            break;
        }
        case kManifest: vljepa::parse_manifest(bytes); break;
        case kOnnx: vljepa::external_weights(bytes); break;
        case kNpy: vljepa::parse_npy(bytes); break;
        case kNpz: {
            const auto arrays = vljepa::read_npz(written("arrays.npz", bytes));
            for (const auto& [name, array] : arrays) {
                if (array.type[1] == 'U') vljepa::texts(arrays, name, array.shape.size());
            }
            break;
        }
        case kTokenizer: vljepa::Tokenizer("words.json", bytes, 8).encode("a red cup"); break;
        case kDetokenizer: vljepa::Detokenizer("words.json", bytes).decode({0, 1, 2, 3, 99, -1}); break;
        default: break;
    }
}

// BundleError and InputError say what is wrong; parsers below the bundle throw std::runtime_error itself.
bool is_expected(const std::exception& error) {
    return dynamic_cast<const vljepa::BundleError*>(&error) != nullptr ||
           dynamic_cast<const vljepa::InputError*>(&error) != nullptr || typeid(error) == typeid(std::runtime_error);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto kind = static_cast<Kind>(data[0] % kKinds);
    const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    try {
        read(kind, bytes);
    } catch (const std::exception& error) {
        if (is_expected(error)) return 0;
        std::fprintf(stderr, "kind %d: %s: %s\n", kind, typeid(error).name(), error.what());
        std::ofstream("fuzz_bundle.input", std::ios::binary) << std::string(reinterpret_cast<const char*>(data), size);
        std::abort();
    }
    return 0;
}

#ifndef VLJEPA_FUZZ

namespace {

std::string little(std::uint64_t value, int size) {
    std::string bytes;
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i & 255);
    return bytes;
}

// The files of a folder, stored in a zip without checksums, which the reader does not look at: it has SHA-256.
std::string zipped(const std::vector<std::pair<std::string, std::string>>& files) {
    std::string zip;
    std::string directory;
    for (const auto& [name, bytes] : files) {
        const std::string about = little(0, 2) + little(0, 4) + little(0, 4) + little(bytes.size(), 4) +
                                  little(bytes.size(), 4) + little(name.size(), 2) + little(0, 2);
        directory += "PK\x01\x02" + little(20, 2) + little(20, 2) + little(0, 2) + about + little(0, 2) + little(0, 2) +
                     little(0, 2) + little(0, 4) + little(zip.size(), 4) + name;
        zip += "PK\x03\x04" + little(20, 2) + little(0, 2) + about + name + bytes;
    }
    return zip + directory + "PK\x05\x06" + little(0, 4) + little(files.size(), 2) + little(files.size(), 2) +
           little(directory.size(), 4) + little(zip.size(), 4) + little(0, 2);
}

std::string npy(const std::string& type, const std::string& shape, const std::string& data) {
    const std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
    return std::string("\x93NUMPY\x01\x00", 8) + little(header.size(), 2) + header + data;
}

// Good files, each behind its kind.
std::vector<std::string> corpus() {
    const fs::path folder = scratch() / "good";
    stand_in::write_bundle(folder);
    std::vector<std::pair<std::string, std::string>> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        files.emplace_back(fs::relative(entry.path(), folder).generic_string(),
                           std::string(std::istreambuf_iterator<char>(file), {}));
    }
    const auto named = [&](const std::string& name) {
        for (const auto& [file, bytes] : files) {
            if (file == name) return bytes;
        }
        return std::string();
    };
    const std::string floats = npy("<f4", "(2, 3)", std::string(24, '\x01'));
    const std::string letters = npy("<U3", "(2,)", little('a', 4) + little(0x1F600, 4) + std::string(16, '\0'));
    const std::string tensor("\x3a\x07\x2a\x05\x42\x01w\x70\x01", 9);  // a graph with a tensor whose data is elsewhere
    std::vector<std::string> good;
    const auto add = [&](Kind kind, const std::string& bytes) { good.push_back(static_cast<char>(kind) + bytes); };
    add(kZip, zipped(files));
    add(kManifest, named("manifest.json"));
    add(kOnnx, named("graphs/query.onnx"));
    add(kOnnx, tensor);
    add(kNpy, floats);
    add(kNpy, letters);
    add(kNpz, zipped({{"rows.npy", floats}, {"labels.npy", letters}}));
    for (const Kind kind : {kTokenizer, kDetokenizer}) {
        if (kind == kDetokenizer) add(kind, named("tokenizers/words.json"));
        add(kind, R"({"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,)"
                  R"( "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "red": 3, "##d": 4, "a": 5}}, "normalizer": {"type": "BertNormalizer",)"
                  R"( "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "TemplateProcessing",)"
                  R"( "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens":)"
                  R"( {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}}}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}})");
        add(kind, R"({"model": {"type": "BPE", "vocab": {"a": 0, "r": 1, "e": 2, "re": 3}, "merges": ["r e"]}, "pre_tokenizer": {"type":)"
                  R"( "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "Sequence", "decoders": [{"type": "ByteLevel"},)"
                  R"( {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}]}})");
    }
    return good;
}

class Damage {
  public:
    explicit Damage(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

    // Changes some bytes of an input, never the first one.
    std::string of(std::string input, const std::string& other) {
        static const std::vector<std::string> kBad{"",     "-1", "0",  "1e999", "99999999999999999999", "null", "[]", "{}",
                                                   "\"",   "\\", "\\u", "\xff", "\xff\xff\xff\xff",     "../", "true"};
        for (std::size_t times = 1 + below(4); times > 0; --times) {
            const std::size_t at = 1 + below(input.size());
            const std::size_t length = std::min(input.size() - std::min(at, input.size()), below(12));
            if (at >= input.size()) {
                input += static_cast<char>(below(256));
                continue;
            }
            switch (below(7)) {
                case 0: input[at] = static_cast<char>(below(256)); break;
                case 1: input[at] = static_cast<char>(input[at] ^ (1 << below(8))); break;
                case 2: input.erase(at, length); break;
                case 3: input.insert(at, input.substr(1 + below(input.size() - 1), below(40))); break;
                case 4: input.replace(at, length, kBad[below(kBad.size())]); break;
                case 5: input.replace(at, length, other.substr(std::min(other.size(), 1 + below(other.size())), below(40))); break;
                default: input.resize(at); break;
            }
        }
        return input;
    }

  private:
    std::mt19937 random_;
};

}  // namespace

int main(int argc, char** argv) {
    const double limit = argc > 1 ? std::atof(argv[1]) : 5.0;
    Damage damage(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : std::random_device()());
    const std::vector<std::string> good = corpus();
    for (const std::string& input : good) read(static_cast<Kind>(input[0]), input.substr(1));  // each is read as it is
    const auto begun = std::chrono::steady_clock::now();
    long count = 0;
    while (std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count() < limit) {
        const std::string input = damage.of(good[damage.below(good.size())], good[damage.below(good.size())]);
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
        ++count;
    }
    fs::remove_all(scratch());
    std::printf("%ld damaged inputs\n", count);
}

#endif
