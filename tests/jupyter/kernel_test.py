"""Jupyter's own test of a kernel, with the cells that it needs."""

import unittest

import jupyter_kernel_test


class CandlelightTests(jupyter_kernel_test.KernelTests):
    kernel_name = "candlelight"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oops");'
    code_generate_error = 'panic!("an error");'
    code_execute_result = [{"code": "1 + 2", "result": "3"}]
    code_display_data = [
        {
            "code": 'println!("EVCXR_BEGIN_CONTENT image/svg+xml\\n<svg/>\\nEVCXR_END_CONTENT");',
            "mime": "image/svg+xml",
        }
    ]
    completion_samples = [{"text": "String::from_utf8_lo", "matches": {"from_utf8_lossy(v)"}}]
    complete_code_samples = ["let x = 1;", "x + 1", "fn f() {}"]
    incomplete_code_samples = ["fn f() {", "let s = \"two"]
    invalid_code_samples = ["f(1]", "}"]
    code_inspect_sample = "String"


if __name__ == "__main__":
    unittest.main()
