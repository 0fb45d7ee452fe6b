// A repository that answers ITI-41 by code that gSOAP generates from the schemas. For tests only.
// Usage: repository PORT FOLDER. Each document is written to FOLDER under its id; a line a request and a part to stdout.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "soapRepositorySoapService.h"
#include "RepositorySoap.nsmap"

static std::string folder;

int RepositorySoapService::Provide(ns3__ProvideAndRegisterDocumentSetRequestType *request,
                                   ns2__RegistryResponseType &response) {
    const char *action = soap->header && soap->header->wsa5__Action ? soap->header->wsa5__Action : "";
    const char *message = soap->header && soap->header->wsa5__MessageID ? soap->header->wsa5__MessageID : "";
    std::printf("request %s %s\n", action, message);
    auto *sequence = request->__ProvideAndRegisterDocumentSetRequestType_sequence;
    if (sequence) {
        for (auto &document : sequence->Document) {
            auto &part = document.xop__Include;
            std::printf("part %s %d %s\n", document.id.c_str(), part.__size, part.type ? part.type : "");
            FILE *file = std::fopen((folder + "/" + document.id).c_str(), "wb");
            if (!file) return SOAP_ERR;
            std::fwrite(part.__ptr, 1, part.__size, file);
            std::fclose(file);
        }
    }
    std::printf("end\n");
    std::fflush(stdout);
    response.status = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success";
    return SOAP_OK;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    folder = words[2];
    // SOAP_XML_STRICT: what the schemas do not allow is refused. SOAP_XML_TREE: else the id attributes of ebRIM are taken for references of SOAP encoding
    RepositorySoapService service(SOAP_ENC_MTOM | SOAP_XML_TREE | SOAP_XML_STRICT);
    if (!soap_valid_socket(service.bind("127.0.0.1", std::atoi(words[1]), 10))) return 1;
    std::printf("listening\n");
    std::fflush(stdout);
    while (soap_valid_socket(service.accept())) {
        if (service.serve()) {
            std::printf("refused ");
            std::fflush(stdout);
            service.soap_stream_fault(std::cerr);
            std::printf("\n");
            std::fflush(stdout);
        }
        service.destroy();
    }
    return 0;
}
