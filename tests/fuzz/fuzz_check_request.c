/* Any bytes as a CheckRequest: decoded and prepared, or refused; then the answer to it is encoded and read back. */
#include <assert.h>

#include "authz/check_request.h"
#include "authz/check_response.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct authz_request request = {0};
    const struct identity_domains any = {0};
    if (check_request_decode(str_make((const char *)data, size), &request)) {
        authz_request_prepare(&request, &any);
        struct authz_verdict verdict = {.code = AUTHZ_PERMISSION_DENIED,
                                        .reason = AUTHZ_NO_HTTP,
                                        .tier = request.path,
                                        .rule = 7};
        CLEANUP_BUF struct buf response = {0};
        struct check_answer answer;
        check_response_encode(&response, &verdict);
        assert(check_response_decode(buf_str(&response), &answer));
        assert(answer.code == AUTHZ_PERMISSION_DENIED && answer.rule == 7);
        assert(str_eq(answer.tier, request.path));
    }
    authz_request_free(&request);
    return 0;
}
