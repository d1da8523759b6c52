/* A program that has nothing of vljepa-edge but the installed library and its header. */
#include <stdio.h>
#include <string.h>

#include <vljepa.h>

int main(void) {
    if (vljepa_bundle_verify("/nowhere") != VLJEPA_BUNDLE_ERROR) return 1;
    if (strstr(vljepa_last_error(), "does not exist") == NULL) return 2;
    if (vljepa_bundle_verify(NULL) != VLJEPA_INPUT_ERROR) return 3;
    printf("%s\n", vljepa_version());
    return 0;
}
