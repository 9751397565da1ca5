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

    def test_a_picture_is_redrawn(self):
        self.flush_channels()
        code = (
            "use candlelight::prelude::*;\nlet mut live = LiveFigure::new();\n"
            'for n in 1..=3 { live.show(&plot::bars("n", "", "", &[("n", f64::from(n))])?); }'
        )
        names = []
        for _ in range(2):
            _, messages = self.execute_helper(code=code, timeout=60)
            shown = [m for m in messages if m["msg_type"].endswith("display_data")]
            self.assertEqual(
                [m["msg_type"] for m in shown], ["display_data", "update_display_data", "update_display_data"]
            )
            self.assertEqual(len({m["content"]["data"]["image/svg+xml"] for m in shown}), 3)
            own = {m["content"]["transient"]["display_id"] for m in shown}
            self.assertEqual(len(own), 1)
            names.extend(own)
        self.assertNotEqual(*names, "another run of the cell has a picture of its own")


if __name__ == "__main__":
    unittest.main()
